"""The steps of the demo: each runs user commands and verifies the outcome.

`demo/__main__.py` runs it. The demo uses public interfaces only: kubectl and the
programs.
"""

import json
import signal
import time
from pathlib import Path

from demo.observer import Observer
from demo.processes import Processes, free_port
from demo.terminal import Terminal

HERE = (
    Path(__file__).parent.relative_to(Path.cwd())
    if Path(__file__).is_relative_to(Path.cwd())
    else Path(__file__).parent
)
MANIFESTS = HERE / "manifests"
COPIES = "-l app.kubernetes.io/managed-by=configmapsync"
IDLE_SECONDS = 5
INSTALLED_IN = "configmapsync-system"
WEBHOOK_SERVICE = f"{INSTALLED_IN}/configmapsync-webhook"
# With --keep the demo may run long, and no kubelet replaces the token.
KEPT_FOR = "24h"


class Story:
    """The demo, with the state that its steps share."""

    def __init__(self, processes: Processes, folder: Path, kubectl: str) -> None:
        self._processes = processes
        self._folder = folder
        self._kubeconfig = folder / "kubeconfig"
        self._terminal = Terminal(kubectl, self._kubeconfig)
        self._kubectl_program = kubectl
        self._observer: Observer | None = None

    def run(self, *, keep: bool) -> None:
        """Run all steps; with `keep`, wait for Ctrl-C in place of the last one."""
        self._start()
        try:
            self._copies_appear()
            self._edits_travel()
            self._damage_is_repaired()
            self._new_namespaces_are_served()
            self._conflicts_are_reported()
            self._unsafe_requests_are_rejected()
            self._idle_means_no_writes()
            if keep:
                self._keep()
                return
            self._deleting_cleans_up()
        finally:
            self.observer.close()
        self._terminal.say("\nEvery step was verified.")

    @property
    def observer(self) -> Observer:
        """Return the observer; the first call starts it and needs the API server."""
        if self._observer is None:
            self._observer = Observer(self._kubectl_program, self._kubeconfig)
        return self._observer

    def _start(self) -> None:
        terminal, kubeconfig = self._terminal, str(self._kubeconfig)
        terminal.heading(
            "Start an API server in memory, the webhook and the reconciler, each as a process"
        )
        webhook = free_port()
        self._processes.start(
            "devcluster",
            "devcluster",
            *("--listen", "127.0.0.1:0", "--kubeconfig", kubeconfig),
            *("--service-address", f"{WEBHOOK_SERVICE}=127.0.0.1:{webhook}"),
        )
        self._processes.wait_for_file(self._kubeconfig)
        terminal.kubectl("apply -k config/default")
        terminal.kubectl("wait --for=condition=Established crd/configmapsyncs.apps.nishaf.info")
        certificates = str(self._folder / "tls")
        terminal.command(
            *("certs", "ensure", "--dir", certificates, "--inject"),
            *("--kubeconfig", self._identity("certs"), "--log-format", "console"),
        )
        self._serve(
            "webhook",
            *(
                "--certificate-dir",
                certificates,
                "--listen",
                f"127.0.0.1:{webhook}",
                "--drain-seconds",
                "0.2",
            ),
        )
        self._serve("reconciler")
        terminal.say(
            "the webhook and the reconciler are ready, and each uses its own ServiceAccount"
        )

    def _serve(self, module: str, *arguments: str) -> None:
        """Start the webhook or the reconciler and wait until it is ready."""
        port = free_port()
        self._processes.start(
            *(module, module, "--kubeconfig", self._identity(module)),
            *("--health-address", f"127.0.0.1:{port}", *arguments),
        )
        self._processes.wait_until_ready(port)

    def _identity(self, process: str) -> str:
        """Write a kubeconfig for the ServiceAccount of a process and return its path.

        The account has only the rights that `config/rbac` grants.
        """
        view = json.loads(self._terminal.kubectl("config view --raw -o json", show=False))
        account = f"configmapsync-{process} -n {INSTALLED_IN}"
        token = self._terminal.kubectl(f"create token {account} --duration={KEPT_FOR}", show=False)
        view["users"][0]["user"] = {"token": token.strip()}
        path = self._folder / f"{process}.kubeconfig"
        path.touch(mode=0o600)
        path.write_text(json.dumps(view))
        return str(path)

    def _copies_appear(self) -> None:
        terminal = self._terminal
        terminal.heading("Create a ConfigMapSync, and copies appear")
        terminal.kubectl(f"apply -f {MANIFESTS}/1-namespaces.yaml")
        terminal.kubectl(f"apply -f {MANIFESTS}/2-shared-config.yaml")
        terminal.kubectl(f"apply -f {MANIFESTS}/3-sync.yaml")
        terminal.kubectl(
            "wait --for=condition=Ready configmapsync/shared-config -n platform --timeout=20s"
        )
        terminal.kubectl(f"get configmaps -A {COPIES}")
        terminal.verify(
            "checkout, payments and team-search have identical copies; team-sandbox is excluded",
            lambda: (
                self._copies()
                == {name: self._source() for name in ("checkout", "payments", "team-search")}
            ),
        )

    def _edits_travel(self) -> None:
        terminal = self._terminal
        terminal.heading("Edit the source, and every copy follows")
        _ = self.observer
        terminal.verify(
            "an independent observer watches all ConfigMaps",
            lambda: len(self.observer.sightings) >= 4,
        )
        took = self._change_and_measure("debug", ("checkout", "payments", "team-search"))
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
            f"patch configmap shared-config -n config-central --type=merge -p '{patch}'"
        )

        def seen(namespace: str) -> float | None:
            return self.observer.seen(f"{namespace}/shared-config", "LOG_LEVEL", value, since)

        self._terminal.verify(
            f"every copy has LOG_LEVEL: {value}", lambda: all(seen(name) for name in namespaces)
        )
        edited = seen("config-central") or since
        return max(seen(name) or edited for name in namespaces) - edited

    def _damage_is_repaired(self) -> None:
        terminal = self._terminal
        terminal.heading("Edit a copy, and it is repaired; delete a copy, and it is restored")
        since = time.monotonic()
        patch = json.dumps({"data": {"LOG_LEVEL": "hacked"}})
        terminal.kubectl(f"patch configmap shared-config -n payments --type=merge -p '{patch}'")
        terminal.verify(
            "the observer saw the edit, and then the content of the source",
            lambda: (
                (
                    damaged := self.observer.seen(
                        "payments/shared-config", "LOG_LEVEL", "hacked", since
                    )
                )
                is not None
                and self.observer.seen("payments/shared-config", "LOG_LEVEL", "debug", damaged)
                is not None
            ),
        )
        terminal.kubectl("delete configmap shared-config -n checkout")
        terminal.verify(
            "checkout has a copy again", lambda: self._copies().get("checkout") == self._source()
        )

    def _new_namespaces_are_served(self) -> None:
        terminal = self._terminal
        terminal.heading("A new namespace with a matching label gets a copy")
        terminal.kubectl("create namespace reporting")
        terminal.kubectl("label namespace reporting config=shared")
        terminal.verify(
            "reporting has a copy", lambda: self._copies().get("reporting") == self._source()
        )

    def _conflicts_are_reported(self) -> None:
        terminal = self._terminal
        terminal.heading("A conflict is reported, with a reason")
        terminal.kubectl(
            "create configmap shared-config -n team-sandbox --from-literal=made=by-hand"
        )
        terminal.kubectl(
            "patch configmapsync shared-config -n platform --type=json "
            """-p '[{"op": "remove", "path": "/spec/excludedNamespaces"}]'"""
        )
        terminal.kubectl(
            "wait --for=condition=Ready=false configmapsync/shared-config -n platform --timeout=20s"
        )
        terminal.kubectl("get cmsync -A")
        terminal.kubectl(
            "get cmsync shared-config -n platform "
            """-o jsonpath='{range .status.failures[*]}{.reason}: {.message}{"\\n"}{end}'"""
        )
        terminal.verify(
            "the unmanaged ConfigMap is unchanged",
            lambda: self._data("team-sandbox") == {"data": {"made": "by-hand"}},
        )
        terminal.kubectl("delete configmap shared-config -n team-sandbox")
        terminal.kubectl(
            "wait --for=condition=Ready configmapsync/shared-config -n platform --timeout=20s"
        )
        terminal.verify(
            "the sync recovers after the unmanaged ConfigMap is deleted",
            lambda: self._copies().get("team-sandbox") == self._source(),
        )
        terminal.verify(
            "events report the conflict too", lambda: "DestinationConflict" in self._events()
        )
        terminal.kubectl("events -n platform --for configmapsync/shared-config")

    def _unsafe_requests_are_rejected(self) -> None:
        terminal = self._terminal
        terminal.heading("Unsafe requests are rejected at kubectl apply")
        refused = MANIFESTS / "refused"
        terminal.refused(f"apply -f {refused}/missing-namespace.yaml", 'Not found: "chekout"')
        terminal.refused(f"apply -f {refused}/self-sync.yaml", "the source itself")
        terminal.warned(
            f"apply -f {MANIFESTS}/4-chain.yaml",
            "ConfigMap config-central/limits does not exist yet",
        )
        terminal.refused(
            f"apply -f {refused}/loop.yaml",
            "payments/limits -> config-central/limits -> checkout/limits -> payments/limits",
        )
        terminal.kubectl(
            "create role syncs -n platform --verb=get,create,patch "
            "--resource=configmapsyncs.apps.nishaf.info"
        )
        terminal.kubectl("create rolebinding dana --role=syncs --user=dana -n platform")
        terminal.refused(
            f"apply --as=dana -f {refused}/without-rights.yaml",
            'user "dana" may not get the ConfigMap "credentials"',
        )
        terminal.say("The webhook sets the default of each policy that is not set:")
        terminal.kubectl("get cmsync limits-to-payments -n platform -o jsonpath='{.spec}'")
        terminal.verify(
            "deletionPolicy has its default",
            lambda: self._spec("limits-to-payments")["deletionPolicy"] == "Delete",
        )

    def _spec(self, name: str) -> dict[str, str]:
        spec: dict[str, str] = json.loads(
            self._terminal.kubectl(f"get cmsync {name} -n platform -o json", show=False)
        )["spec"]
        return spec

    def _events(self) -> str:
        return self._terminal.kubectl(
            "events -n platform --for configmapsync/shared-config", show=False
        )

    def _idle_means_no_writes(self) -> None:
        terminal = self._terminal
        terminal.heading("An idle operator writes nothing")
        before = self._settled_version()
        time.sleep(IDLE_SECONDS)  # noqa: TID251 - measures a period without writes
        writes = self._version() - before
        terminal.say(f"writes by all clients in {IDLE_SECONDS} seconds: {writes}")
        terminal.verify("nothing was written", lambda: writes == 0)

    def _settled_version(self) -> int:
        """Return the version of the cluster after the last event is written."""
        version = self._version()
        while True:
            time.sleep(1)  # noqa: TID251 - waits for the last event to be written
            if version == (version := self._version()):
                return version

    def _deleting_cleans_up(self) -> None:
        terminal = self._terminal
        terminal.heading("Delete the sync, and its copies are removed")
        terminal.kubectl("delete configmapsync shared-config -n platform")
        terminal.verify("all copies are gone", lambda: self._copies() == {})
        terminal.verify(
            "the source is unchanged", lambda: self._source()["data"]["LOG_LEVEL"] == "debug"
        )

    def _keep(self) -> None:
        """Print how to use kubectl and wait for Ctrl-C."""
        ending = {signal.SIGINT, signal.SIGTERM}
        signal.pthread_sigmask(signal.SIG_BLOCK, ending)
        self._terminal.say("\nThe processes keep running. In another terminal:\n")
        self._terminal.say(f"  export KUBECONFIG={self._kubeconfig}")
        self._terminal.say(f"  {self._kubectl_program} get cmsync -A\n\nCtrl-C stops them.")
        signal.sigwait(ending)

    def _version(self) -> int:
        answer = self._terminal.kubectl("get --raw /api/v1/configmaps?limit=1", show=False)
        return int(json.loads(answer)["metadata"]["resourceVersion"])

    def _source(self) -> dict[str, dict[str, str]]:
        return self._data("config-central")

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
        return {copy["metadata"]["namespace"]: _content(copy) for copy in copies}


def _content(configmap: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    return {part: configmap[part] for part in ("data", "binaryData") if part in configmap}
