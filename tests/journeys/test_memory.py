"""The reconciler starts within its memory limit with any size of ConfigMaps."""

from collections.abc import Callable
from pathlib import Path

import pytest

from configmapsync.names import MANAGED_BY_LABEL, MANAGED_BY_VALUE
from tests.journeys.stage import Stage
from tests.support.processes import Process

PEAK_BYTES = 128 << 20  # half of the limit in config/reconciler
MEBIBYTE = 1 << 20


def peak(process: Process) -> int:
    """Return the peak memory of the process, in bytes."""
    status = Path(f"/proc/{process.id}/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from /proc")
@pytest.mark.parametrize("content", ["x", "<"], ids=["plain", "escaped to six bytes"])
def test_200_forged_copies_of_a_mebibyte_do_not_matter_at_the_start(
    stage: Stage, start_reconciler: Callable[..., Process], content: str
) -> None:
    namespace = stage.namespace()
    data = {"large": content * (MEBIBYTE - 100)}
    for number in range(200 if content == "x" else 40):
        stage.put_configmap(
            namespace, f"forged-{number}", {MANAGED_BY_LABEL: MANAGED_BY_VALUE}, data=data
        )
    reconciler = start_reconciler()
    assert peak(reconciler) < PEAK_BYTES
    source = stage.source(namespace)
    target = stage.namespace()
    stage.sync(namespace, destinationNamespace=target)
    stage.copy_becomes(source, target)
    assert peak(reconciler) < PEAK_BYTES
    reconciler.terminate()
    for number in range(200 if content == "x" else 40):
        stage.delete(namespace, f"forged-{number}")


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from /proc")
def test_a_restart_with_100_copies_of_a_mebibyte_stays_within_the_memory(
    stage: Stage, start_reconciler: Callable[..., Process]
) -> None:
    home = stage.namespace()
    label = {"large": stage.tag}
    targets = [stage.namespace(labels=label) for _ in range(100)]
    stage.source(home, data={"large": "x" * (MEBIBYTE - 100)})
    sync = stage.sync(home, destinationNamespaceSelector={"matchLabels": label})
    first = start_reconciler()
    stage.ready_becomes(sync, "True", "Synced", within=120)
    first.terminate()
    again = start_reconciler()
    assert peak(again) < PEAK_BYTES
    edited = stage.edit(home, "config", data={"large": "edited"})
    stage.copy_becomes(edited, targets[0])
    stage.edit_sync(sync, suspend=True)
    stage.ready_becomes(sync, "True", "Suspended", within=60)
    assert peak(again) < PEAK_BYTES
