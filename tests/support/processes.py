"""Start programs as separate processes, keep their output, and stop them.

`control_plane.py`, `devcluster.py` and the journeys call it. It must know only a
program's command line, its log and its readiness URL.
"""

import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self
from urllib.error import URLError

from tests.support.eventually import wait_until

# For Python on two loaded cores; a real API server needs ten seconds alone.
START_SECONDS = 60.0
END_SECONDS = 30.0
LOG_TAIL = 4_000  # characters of a log in a failure message
# Below the ephemeral port range, so that no outgoing connection takes the port before the
# server binds it.
PORTS = range(20_000, 32_000)
LOCAL_ADDRESS = "127.0.0.1"


def _own_ports() -> Iterator[int]:
    """Yield the ports of this process in random order, none twice before all were yielded.

    Each worker of pytest-xdist has ports of its own. A port is free until its server binds it,
    and another call may find it free too.
    """
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    own = PORTS[number :: int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))]
    while True:
        yield from secrets.SystemRandom().sample(own, len(own))


OWN_PORTS = _own_ports()


def free_port() -> int:
    """Pick a port of 127.0.0.1 for a server that cannot pick one."""
    while True:
        port = next(OWN_PORTS)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOCAL_ADDRESS, port))
            except OSError:
                continue
            return port


class Process:
    """A running program and its log file."""

    def __init__(
        self,
        arguments: Sequence[str | Path],
        log: Path,
        *,
        environment: Mapping[str, str] | None = None,
        inherited: Mapping[str, str] | None = None,
        directory: Path | None = None,
    ) -> None:
        """Start the program.

        Args:
            arguments: the command line; `python -m ...` is written `[sys.executable, "-m",
                ...]`.
            log: standard output and standard error are appended to it in their order.
            environment: added to the inherited variables.
            inherited: the variables of this process by default.
            directory: the working directory; that of this process by default.
        """
        self.arguments = [str(argument) for argument in arguments]
        self.log = log
        with log.open("ab") as output:
            self._popen = subprocess.Popen(
                self.arguments,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**(os.environ if inherited is None else inherited), **(environment or {})},
                cwd=directory,
                # Ctrl-C in the terminal ends the tests, and the tests stop their processes in
                # order.
                start_new_session=True,
            )

    @classmethod
    def python(
        cls,
        module: str,
        *arguments: str | Path,
        log: Path,
        environment: Mapping[str, str] | None = None,
    ) -> Self:
        """Start `python -m module` with the interpreter of the tests."""
        return cls([sys.executable, "-m", module, *arguments], log, environment=environment)

    @property
    def id(self) -> int:
        """Return the process id, for tests that freeze the process or measure its memory."""
        return self._popen.pid

    @property
    def exit_code(self) -> int | None:
        """Return None while the process runs; a negative number if a signal ended it."""
        return self._popen.poll()

    def output(self) -> str:
        """Return the whole output so far."""
        return self.log.read_text(errors="replace")

    def explain(self, problem: str) -> str:
        """Return a failure message with the end of the log."""
        state = "running" if self.exit_code is None else f"ended with {self.exit_code}"
        return f"{' '.join(self.arguments)} ({state}): {problem}\n{self.output()[-LOG_TAIL:]}"

    def check_running(self) -> None:
        """Raise if the process has ended, because waiting for it is in vain."""
        if self.exit_code is not None:
            raise ProcessEndedError(self.explain("it is gone"))

    def wait_for_line(self, text: str, within: float = START_SECONDS) -> str:
        """Wait until the process has printed a line with `text`, and return that line."""

        def printed() -> str:
            # Asked before the log is read: a process may print the line and end in between.
            ended = self.exit_code is not None
            lines = [line for line in self.output().splitlines() if text in line]
            if ended and not lines:
                self.check_running()
            assert lines, self.explain(f"no line with {text!r} yet")
            return lines[0]

        return wait_until(printed, within)

    def wait_until_answering(self, url: str, within: float = START_SECONDS) -> None:
        """Wait until GET of an http:// `url` (a readiness path) returns 200."""

        def answering() -> None:
            self.check_running()
            try:
                with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - the test's own http URL
                    answer.read()
            except URLError as problem:
                raise AssertionError(self.explain(f"{url}: {problem}")) from problem
            except OSError as problem:
                raise AssertionError(self.explain(f"{url}: {problem}")) from problem

        wait_until(answering, within, every=0.05)

    def wait(self, within: float = END_SECONDS) -> int:
        """Wait until the process ends and return the exit code."""
        try:
            return self._popen.wait(within)
        except subprocess.TimeoutExpired as problem:
            raise AssertionError(self.explain(f"still running after {within} s")) from problem

    def send(self, signal_number: signal.Signals) -> None:
        """Send a signal, such as SIGSTOP and SIGCONT to freeze and resume the process."""
        self._popen.send_signal(signal_number)

    def terminate(self, within: float = END_SECONDS) -> int:
        """Send SIGTERM, as a cluster ends a pod, and return the exit code."""
        self.send(signal.SIGTERM)
        return self.wait(within)

    def kill(self) -> int:
        """Send SIGKILL, as a lost node ends a pod, and return the exit code."""
        self.send(signal.SIGKILL)
        return self.wait()

    def stop(self) -> None:
        """End the process in any state, first with SIGTERM; fixtures call it after a test."""
        if self.exit_code is not None:
            return
        self.send(signal.SIGCONT)
        self.send(signal.SIGTERM)
        patience = threading.Timer(END_SECONDS / 2, self._popen.kill)
        patience.start()
        self._popen.wait()
        patience.cancel()


class ProcessEndedError(Exception):
    """A process ended while a test waited for it.

    This is no AssertionError, because the waiting functions would retry an AssertionError.
    """
