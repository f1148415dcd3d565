import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import Process, ProcessEndedError

POLITE = (
    "import signal, time; signal.signal(signal.SIGTERM, lambda *_: exit(7));"
    " print('here', flush=True); time.sleep(60)"
)
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    " print('here', flush=True); time.sleep(60)"
)


def run(program: str, log: Path) -> Process:
    return Process([sys.executable, "-c", program], log)


@pytest.fixture
def polite(tmp_path: Path) -> Iterator[Process]:
    process = run(POLITE, tmp_path / "log")
    process.wait_for_line("here")
    yield process
    process.stop()


def test_sigterm_lets_a_process_choose_its_exit_code(polite: Process) -> None:
    assert polite.terminate() == 7


def test_sigkill_does_not(polite: Process) -> None:
    assert polite.kill() == -signal.SIGKILL


def test_a_frozen_process_is_ended_all_the_same(polite: Process) -> None:
    polite.send(signal.SIGSTOP)

    polite.stop()

    assert polite.exit_code == 7


def test_waiting_for_a_process_that_is_gone_fails_at_once_with_its_log(tmp_path: Path) -> None:
    process = run("import sys; print('out'); sys.exit('no kubeconfig')", tmp_path / "log")

    with pytest.raises(ProcessEndedError, match="no kubeconfig"):
        process.wait_for_line("serving")
    assert process.wait() == 1
    assert process.output() == "no kubeconfig\nout\n" or process.output() == "out\nno kubeconfig\n"


def test_a_line_is_found_if_the_process_ends_after_a_look_at_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = run("print('lost')", tmp_path / "log")

    def look(process: Process) -> str:
        printed = process.log.read_text()
        process.wait()
        return printed

    monkeypatch.setattr(Process, "output", look)

    assert process.wait_for_line("lost") == "lost"


def test_a_process_that_ignores_sigterm_fails_the_test(tmp_path: Path) -> None:
    process = run(STUBBORN, tmp_path / "log")
    process.wait_for_line("here")

    with pytest.raises(AssertionError, match="still running"):
        process.terminate(within=0.2)

    assert process.kill() == -signal.SIGKILL
