"""The steps of the demo: each runs user commands and verifies the outcome.

`demo/__main__.py` runs it. The demo uses public interfaces only: kubectl and the
programs.
"""

import json
import signal
import time
from pathlib import Path

from demo.clusters import PREFIX, DemoCluster
from demo.observer import Observer
from demo.terminal import Terminal

HERE = (
    Path(__file__).parent.relative_to(Path.cwd())
    if Path(__file__).is_relative_to(Path.cwd())
    else Path(__file__).parent
)
MANIFESTS = HERE / "manifests"
# Other syncs of the cluster may have copies too, but not of this name in these namespaces.
COPIES = (
    "-l app.kubernetes.io/managed-by=configmapsync --field-selector metadata.name=shared-config"
)
SERVED = ("demo-checkout", "demo-payments", "demo-team-search")
IDLE_SECONDS = 5


class Story:
    """The demo, with the state that its steps share."""

    def __init__(self, cluster: DemoCluster, terminal: Terminal) -> None:
        self._cluster = cluster
        self._terminal = terminal
        self._observer: Observer | None = None

    def run(self, *, keep: bool) -> None:
        """Run all steps, and clean up; with `keep`, wait for Ctrl-C before the last step."""
        self._terminal.heading(self._cluster.heading)
        try:
            self._cluster.start(self._terminal)
            self._run_steps(keep=keep)
        finally:
            if self._observer is not None:
                self._observer.close()
            self._cluster.clean_up(self._terminal)
        if not keep:
            self._terminal.say("\nEvery step was verified. What to do next:\n")
            for command in self._cluster.next_commands:
                self._terminal.say(f"  {command}")

    def _run_steps(self, *, keep: bool) -> None:
        self._copies_appear()
        self._edits_travel()
        self._damage_is_repaired()
        self._new_namespaces_are_served()
        self._conflicts_are_reported()
        self._unsafe_requests_are_rejected()
        self._idle_means_no_writes()
        if keep:
            self._keep()
        else:
            self._deleting_cleans_up()

    @property
    def observer(self) -> Observer:
        """Return the observer; the first call starts it and needs the API server."""
        if self._observer is None:
            self._observer = Observer(self._terminal)
        return self._observer

    def _copies_appear(self) -> None:
        terminal = self._terminal
        terminal.heading("Create a ConfigMapSync, and copies appear")
        terminal.kubectl(f"apply -f {MANIFESTS}/1-namespaces.yaml")
        terminal.kubectl(f"apply -f {MANIFESTS}/2-shared-config.yaml")
        terminal.kubectl(f"apply -f {MANIFESTS}/3-sync.yaml")
        terminal.kubectl(
            "wait --for=condition=Ready configmapsync/shared-config -n demo-platform --timeout=20s"
        )
        terminal.kubectl(f"get configmaps -A {COPIES}")
        terminal.verify(
            "three namespaces have identical copies; demo-team-sandbox is excluded",
            lambda: self._copies() == {name: self._source() for name in SERVED},
        )

    def _edits_travel(self) -> None:
        terminal = self._terminal
        terminal.heading("Edit the source, and every copy follows")
        _ = self.observer
        terminal.verify(
            "an independent observer watches the source and the copies",
            lambda: len(self.observer.sightings) >= 4,
        )
        took = self._change_and_measure("debug", SERVED)
        terminal.say(f"  the last copy was up to date {took * 1000:.1f} ms after the edit")
        terminal.verify(
            "all copies equal the source",
            lambda: all(copy == self._source() for copy in self._copies().values()),
        )

    def _change_and_measure(self, value: str, namespaces: tuple[str, ...]) -> float:
        """Edit the source and return the seconds from the edit to the last copy.

        The observer measures both times.
        """
        since = time.monotonic()
        patch = json.dumps({"data": {"LOG_LEVEL": value}})
        self._terminal.kubectl(
            f"patch configmap shared-config -n demo-central --type=merge -p '{patch}'"
        )

        def seen(namespace: str) -> float | None:
            return self.observer.seen(f"{namespace}/shared-config", "LOG_LEVEL", value, since)

        self._terminal.verify(
            f"every copy has LOG_LEVEL: {value}", lambda: all(seen(name) for name in namespaces)
        )
        edited = seen("demo-central") or since
        return max(seen(name) or edited for name in namespaces) - edited

    def _damage_is_repaired(self) -> None:
        terminal = self._terminal
        terminal.heading("Edit a copy, and it is repaired; delete a copy, and it is restored")
        since = time.monotonic()
        patch = json.dumps({"data": {"LOG_LEVEL": "hacked"}})
        terminal.kubectl(
            f"patch configmap shared-config -n demo-payments --type=merge -p '{patch}'"
        )
        terminal.verify(
            "the observer saw the edit, and then the content of the source",
            lambda: (
                (
                    damaged := self.observer.seen(
                        "demo-payments/shared-config", "LOG_LEVEL", "hacked", since
                    )
                )
                is not None
                and self.observer.seen("demo-payments/shared-config", "LOG_LEVEL", "debug", damaged)
                is not None
            ),
        )
        terminal.kubectl("delete configmap shared-config -n demo-checkout")
        terminal.verify(
            "demo-checkout has a copy again",
            lambda: self._copies().get("demo-checkout") == self._source(),
        )

    def _new_namespaces_are_served(self) -> None:
        terminal = self._terminal
        terminal.heading("A new namespace with a matching label gets a copy")
        terminal.kubectl("create namespace demo-reporting")
        terminal.kubectl("label namespace demo-reporting config=demo-shared")
        terminal.verify(
            "demo-reporting has a copy",
            lambda: self._copies().get("demo-reporting") == self._source(),
        )

    def _conflicts_are_reported(self) -> None:
        terminal = self._terminal
        terminal.heading("A conflict is reported, with a reason")
        terminal.kubectl(
            "create configmap shared-config -n demo-team-sandbox --from-literal=made=by-hand"
        )
        terminal.kubectl(
            "patch configmapsync shared-config -n demo-platform --type=json "
            """-p '[{"op": "remove", "path": "/spec/excludedNamespaces"}]'"""
        )
        terminal.kubectl(
            "wait --for=condition=Ready=false configmapsync/shared-config "
            "-n demo-platform --timeout=20s"
        )
        terminal.kubectl("get cmsync -n demo-platform")
        terminal.kubectl(
            "get cmsync shared-config -n demo-platform "
            """-o jsonpath='{range .status.failures[*]}{.reason}: {.message}{"\\n"}{end}'"""
        )
        terminal.verify(
            "the unmanaged ConfigMap is unchanged",
            lambda: self._data("demo-team-sandbox") == {"data": {"made": "by-hand"}},
        )
        terminal.kubectl("delete configmap shared-config -n demo-team-sandbox")
        terminal.kubectl(
            "wait --for=condition=Ready configmapsync/shared-config -n demo-platform --timeout=20s"
        )
        terminal.verify(
            "the sync recovers after the unmanaged ConfigMap is deleted",
            lambda: self._copies().get("demo-team-sandbox") == self._source(),
        )
        terminal.verify(
            "events report the conflict too", lambda: "DestinationConflict" in self._events()
        )
        terminal.kubectl("events -n demo-platform --for configmapsync/shared-config")

    def _unsafe_requests_are_rejected(self) -> None:
        terminal = self._terminal
        terminal.heading("Unsafe requests are rejected at kubectl apply")
        refused = MANIFESTS / "refused"
        terminal.refused(f"apply -f {refused}/missing-namespace.yaml", 'Not found: "demo-chekout"')
        terminal.refused(f"apply -f {refused}/self-sync.yaml", "the source itself")
        terminal.warned(
            f"apply -f {MANIFESTS}/4-chain.yaml",
            "ConfigMap demo-central/limits does not exist yet",
        )
        terminal.refused(
            f"apply -f {refused}/loop.yaml",
            "demo-payments/limits -> demo-central/limits -> "
            "demo-checkout/limits -> demo-payments/limits",
        )
        terminal.kubectl(
            "create role syncs -n demo-platform --verb=get,create,patch "
            "--resource=configmapsyncs.apps.nishaf.info"
        )
        terminal.kubectl("create rolebinding dana --role=syncs --user=dana -n demo-platform")
        terminal.refused(
            f"apply --as=dana -f {refused}/without-rights.yaml",
            'user "dana" may not get the ConfigMap "credentials"',
        )
        terminal.say("The webhook sets the default of each policy that is not set:")
        terminal.kubectl("get cmsync limits-to-payments -n demo-platform -o jsonpath='{.spec}'")
        terminal.verify(
            "deletionPolicy has its default",
            lambda: self._spec("limits-to-payments")["deletionPolicy"] == "Delete",
        )

    def _spec(self, name: str) -> dict[str, str]:
        spec: dict[str, str] = json.loads(
            self._terminal.kubectl(f"get cmsync {name} -n demo-platform -o json", show=False)
        )["spec"]
        return spec

    def _events(self) -> str:
        return self._terminal.kubectl(
            "events -n demo-platform --for configmapsync/shared-config", show=False
        )

    def _idle_means_no_writes(self) -> None:
        terminal = self._terminal
        terminal.heading("An idle operator writes nothing")
        before = self._settled_versions()
        time.sleep(IDLE_SECONDS)  # noqa: TID251 - measures a period without writes
        after = self._versions()
        changed = sum(before.get(uid) != after.get(uid) for uid in before.keys() | after.keys())
        terminal.say(f"objects of the story that were written in {IDLE_SECONDS} seconds: {changed}")
        terminal.verify("nothing was written", lambda: changed == 0)

    def _settled_versions(self) -> dict[str, str]:
        """Return the versions of all objects after the last event is written."""
        versions = self._versions()
        while True:
            time.sleep(1)  # noqa: TID251 - waits for the last event to be written
            if versions == (versions := self._versions()):
                return versions

    def _versions(self) -> dict[str, str]:
        """Return the resourceVersion of each ConfigMap, sync and event of the story, by UID."""
        names = self._terminal.kubectl("get namespaces -o name", show=False).split()
        return {
            item["metadata"]["uid"]: item["metadata"]["resourceVersion"]
            for namespace in (name.partition("/")[2] for name in names)
            if namespace.startswith(PREFIX)
            for item in self._objects(namespace)
        }

    def _objects(self, namespace: str) -> list[dict[str, dict[str, str]]]:
        command = f"get configmaps,configmapsyncs,events -n {namespace} -o json"
        items: list[dict[str, dict[str, str]]] = json.loads(
            self._terminal.kubectl(command, show=False)
        )["items"]
        return items

    def _deleting_cleans_up(self) -> None:
        terminal = self._terminal
        terminal.heading("Delete the sync, and its copies are removed")
        terminal.kubectl("delete configmapsync shared-config -n demo-platform")
        terminal.verify("all copies are gone", lambda: self._copies() == {})
        terminal.verify(
            "the source is unchanged", lambda: self._source()["data"]["LOG_LEVEL"] == "debug"
        )

    def _keep(self) -> None:
        """Print how to go on and wait for Ctrl-C."""
        ending = {signal.SIGINT, signal.SIGTERM}
        signal.pthread_sigmask(signal.SIG_BLOCK, ending)
        self._terminal.say("\nEverything keeps running. In another terminal:\n")
        for hint in self._cluster.hints():
            self._terminal.say(f"  {hint}")
        self._terminal.say("\nCtrl-C ends the demo.")
        signal.sigwait(ending)

    def _source(self) -> dict[str, dict[str, str]]:
        return self._data("demo-central")

    def _data(self, namespace: str) -> dict[str, dict[str, str]]:
        configmap = json.loads(
            self._terminal.kubectl(
                f"get configmap shared-config -n {namespace} -o json", show=False
            )
        )
        return _content(configmap)

    def _copies(self) -> dict[str, dict[str, dict[str, str]]]:
        """Return the content of every copy by namespace."""
        copies = json.loads(
            self._terminal.kubectl(f"get configmaps -A {COPIES} -o json", show=False)
        )["items"]
        return {
            copy["metadata"]["namespace"]: _content(copy)
            for copy in copies
            if copy["metadata"]["namespace"].startswith(PREFIX)
        }


def _content(configmap: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    return {part: configmap[part] for part in ("data", "binaryData") if part in configmap}
