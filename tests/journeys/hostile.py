"""The worst inputs of a hostile tenant, one function for each.

Each function creates objects and returns the steps to repeat during the test;
`test_worst_inputs.py` runs all of them at once. Each input is as large as the limits of
the API server and of the CRD allow.
"""

import itertools
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from http.client import HTTPException
from typing import NamedTuple

from configmapsync.names import API_VERSION, KIND, MANAGED_BY_LABEL, MANAGED_BY_VALUE, PLURAL
from tests.journeys.faults import Faults
from tests.journeys.rivals import Rival
from tests.journeys.stage import Stage
from tests.journeys.test_webhook_load import hostile_bodies, post, served_path, trusting
from tests.journeys.webhook_process import WebhookProcess
from tests.support.processes import LOCAL_ADDRESS

MEBIBYTE = 1024 * 1024
LONGEST_KEY = 253
LOOPS = 200  # of two syncs
CONTESTANTS = 300
LARGE_COPIES = 20
FORGED = 110
SILENT = 300
DRY_RUNS = 8
TENANT = "alice"


class Step(NamedTuple):
    """A repeated action, the pause between two calls in seconds, and an action for the end."""

    do: Callable[[], object]
    every_seconds: float
    end: Callable[[], object] = bool


def refused_lines(stage: Stage) -> Sequence[Step]:
    """Write 930 KB of lines that begin alike, and a long refusal that quotes one of them.

    The reconciler searches each error text for values.
    """
    home, refused = stage.namespace("hostile-a"), [stage.namespace("refused") for _ in range(3)]
    lines = "\n".join(f"conf{number}" for number in range(93_000))[:930_000]
    stage.source(home, data={"large": lines})
    message = "exceeded quota: " + ", ".join(f"conf{number}" for number in range(2_000))
    for namespace in refused:
        details = {
            "verb": "write",
            "resource": "configmaps",
            "namespace": namespace,
            "status": 403,
            "message": message,
        }
        Faults(stage.cluster)("fail", **details)
    stage.sync(home, destinationNamespaces=refused)
    edits = itertools.count()
    return (Step(lambda: stage.edit(home, "config", data={"edit": str(next(edits))}), 1.0),)


def globs_over_keys(stage: Stage) -> Sequence[Step]:
    """Write as many of the longest keys as fit, and the 256 most expensive globs over them."""
    home, there = stage.namespace("hostile-b"), stage.namespace()
    keys = [f"{number:04}".ljust(LONGEST_KEY, "a") for number in range(2_900)]
    stage.source(home, data=dict.fromkeys(keys, "v"))
    general = ["*a" * (LONGEST_KEY // 2) + "b", "*a" * 126 + "c"]
    cheap = [f"*{number:03}".ljust(LONGEST_KEY, "a") for number in range(127)]
    cheap += [f"{number:03}".ljust(LONGEST_KEY - 1, "a") + "*" for number in range(127)]
    spec = [{"key": key} for key in (*general, *cheap)]
    stage.sync(
        home,
        destinationNamespace=there,
        keys=spec,
        copyMetadata={"annotations": [*general, *cheap[:62]]},
    )
    edits = itertools.count()
    return (Step(lambda: stage.edit(home, "config", data={keys[0]: str(next(edits))}), 0.5),)


def names_and_exclusions(stage: Stage) -> Sequence[Step]:
    """Write 511 names and 512 exclusions, all different and long."""
    home, there = stage.namespace("hostile-c"), stage.namespace()
    stage.source(home)
    names = [f"{number:03}".rjust(63, "n") for number in range(510)]
    general = ["*n" * 30 + f"x{number}" for number in range(8)]
    excluded = [*general, *(f"*x{number:03}".ljust(63, "n") for number in range(504))]
    stage.sync(home, destinationNamespaces=[there, *names], excludedNamespaces=excluded)
    edits = itertools.count()
    return (Step(lambda: stage.edit(home, "config", data={"edit": str(next(edits))}), 0.2),)


def large_copies(stage: Stage) -> Sequence[Step]:
    """Write a source of one mebibyte with many copies, and forged copies of the same size."""
    label = {"large": stage.tag}
    home, forged = stage.namespace("hostile-d"), stage.namespace()
    for _ in range(LARGE_COPIES):
        stage.namespace("large", label)
    content = "x" * (MEBIBYTE - 100)
    stage.source(home, data={"large": content})
    for number in range(FORGED):
        stage.put_configmap(
            forged,
            f"forged-{number}",
            {MANAGED_BY_LABEL: MANAGED_BY_VALUE},
            data={"large": content},
        )
    stage.sync(home, destinationNamespaceSelector={"matchLabels": label})
    edits = itertools.count()
    return (Step(lambda: stage.edit(home, "config", data={"edit": str(next(edits))}), 5.0),)


def loops_and_contests(stage: Stage) -> Sequence[Step]:
    """Write 400 syncs in nested loops and 300 for one ConfigMap, and toggle a namespace label.

    Each of the 300 syncs depends on the label.
    """
    home, there = stage.namespace("hostile-e"), stage.namespace()
    for step in range(LOOPS):
        one, next_one = f"c-{step:03}", f"c-{step + 1:03}"
        stage.sync(
            home, configMapName=one, destinationNamespace=there, destinationConfigMapName=next_one
        )
        back = {"sourceNamespace": there, "configMapName": next_one}
        stage.sync(home, **back, destinationNamespace=home, destinationConfigMapName=one)
    stage.source(home)
    stage.source(home, "c-000")
    for _ in range(CONTESTANTS):
        selector = {"matchLabels": {"flapping": stage.tag}}
        stage.sync(
            home, destinationNamespaceSelector=selector, destinationConfigMapName="contested"
        )
    values = itertools.cycle([stage.tag, None])
    path = f"/api/v1/namespaces/{there}"
    return (
        Step(
            lambda: stage.cluster.patch(path, {"metadata": {"labels": {"flapping": next(values)}}}),
            0.2,
        ),
    )


def rewritten_copies(stage: Stage) -> Sequence[Step]:
    """Run a tool of the tenant that rewrites each of its copies after each repair."""
    home, there = stage.namespace("hostile-g"), [stage.namespace() for _ in range(3)]
    content = stage.source(home)
    stage.sync(home, destinationNamespaces=there)
    stale = {"data": {"key": "stale"}}

    def reset() -> None:
        for namespace in there:
            copy = stage.find(namespace)
            if copy is not None and copy["data"] == content["data"]:
                stage.edit(namespace, "config", **stale)

    return (Step(reset, 0.02),)


IN_THE_CLUSTER = (
    refused_lines,
    globs_over_keys,
    names_and_exclusions,
    large_copies,
    loops_and_contests,
    rewritten_copies,
)


def reviews(stage: Stage, webhook: WebhookProcess) -> Sequence[Step]:
    """Send bodies of 4.4 MB, dry-run creations without rights, and silent TLS connections."""
    bodies, path = itertools.cycle(hostile_bodies().values()), served_path(webhook)
    home = stage.namespace("hostile-f")
    collection = f"/apis/{API_VERSION}/namespaces/{home}/{PLURAL}?dryRun=All"
    names = [f"nowhere-{number}" for number in range(512)]
    wide = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": "wide", "namespace": home},
        "spec": {"configMapName": "config", "destinationNamespaces": names},
    }

    def fill() -> None:
        with suppress(OSError, HTTPException):
            post(webhook, path, next(bodies))

    def rehearse() -> None:
        stage.cluster.request("POST", collection, wide, user=TENANT)

    rehearsals = (Step(rehearse, 0.05) for _ in range(DRY_RUNS))
    silent = SilentConnections(webhook)
    return (
        Step(fill, 0.05),
        Step(fill, 0.05),
        *rehearsals,
        Step(silent.open_some, 0.1, silent.close),
    )


class SilentConnections:
    """Opens connections that never send a request, and keeps the newest of them open."""

    def __init__(self, webhook: WebhookProcess) -> None:
        self._port = webhook.port
        self._context = trusting()
        self._open: list[ssl.SSLSocket] = []

    def open_some(self) -> None:
        """Open a few more connections, and close the oldest."""
        for _ in range(10):
            with suppress(OSError):
                plain = socket.create_connection((LOCAL_ADDRESS, self._port), timeout=5)
                try:
                    self._open.append(self._context.wrap_socket(plain))
                finally:
                    plain.close()  # the handshake detaches the plain socket
        self.close(SILENT)

    def close(self, but: int = 0) -> None:
        """Close all but the newest."""
        while len(self._open) > but:
            self._open.pop(0).close()


@contextmanager
def repeated(steps: Sequence[Step]) -> Iterator[None]:
    """Repeat each step in its own thread until the end of the block."""
    with ExitStack() as running:
        for step in steps:
            rival = Rival(lambda step=step: step.do() is None, step.every_seconds)
            running.callback(step.end)
            running.callback(rival.stop)
        yield
