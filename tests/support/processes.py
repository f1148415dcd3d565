"""Start programs as the separate processes they are, keep what they print, and end them as a cluster would.

Neighbours: `control_plane.py` and `devcluster.py` start API servers with it, the journeys start our own processes. It must
not know what a program does, only its command line, its log and its readiness URL.
"""

import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self
from urllib.error import URLError

from tests.support.eventually import wait_until

STARTS_WITHIN = (
    60.0  # Python with two cores under load; a real API server needs ten seconds when alone
)
ENDS_WITHIN = 30.0
LOG_TAIL = 4_000  # characters of a log in a failure message: the cause without the history
# Below the range the kernel takes outgoing ports from, so that nobody's connection takes the port before the server does.
PORTS = range(20_000, 32_000)
LOCAL_ADDRESS = "127.0.0.1"


def free_port() -> int:
    """Pick a port of 127.0.0.1 for a server that cannot pick one itself."""
    while True:
        port = secrets.choice(PORTS)
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
        """Start it.

        Args:
            arguments: the command line; `python -m ...` is written `[sys.executable, "-m", ...]`.
            log: gets standard output and standard error in the order they were written; appended to.
            environment: added to what it inherits.
            inherited: our own environment by default.
            directory: where it runs; our own folder by default.
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
                start_new_session=True,  # Ctrl-C in the terminal ends the tests, and they end their processes in order
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
        """The process id, for tests that freeze it or measure its memory."""
        return self._popen.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative where a signal ended it."""
        return self._popen.poll()

    def output(self) -> str:
        """Everything it has printed so far."""
        return self.log.read_text(errors="replace")

    def explain(self, problem: str) -> str:
        """A failure message with the end of the log."""
        state = "running" if self.exit_code is None else f"ended with {self.exit_code}"
        return f"{' '.join(self.arguments)} ({state}): {problem}\n{self.output()[-LOG_TAIL:]}"

    def check_running(self) -> None:
        """Fail at once where waiting for it is in vain."""
        if self.exit_code is not None:
            raise ProcessEndedError(self.explain("it is gone"))

    def wait_for_line(self, text: str, within: float = STARTS_WITHIN) -> str:
        """Wait until it has printed a line with `text`, and return that line."""

        def printed() -> str:
            lines = [line for line in self.output().splitlines() if text in line]
            if not lines:
                self.check_running()
            assert lines, self.explain(f"no line with {text!r} yet")
            return lines[0]

        return wait_until(printed, within)

    def wait_until_answering(self, url: str, within: float = STARTS_WITHIN) -> None:
        """Wait until GET of an http:// `url` (a readiness path) answers 200."""

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

    def wait(self, within: float = ENDS_WITHIN) -> int:
        """Wait for its end and return the exit code."""
        try:
            return self._popen.wait(within)
        except subprocess.TimeoutExpired as problem:
            raise AssertionError(self.explain(f"still running after {within} s")) from problem

    def send(self, signal_number: signal.Signals) -> None:
        """Send a signal, such as SIGSTOP and SIGCONT to freeze it and let it go on."""
        self._popen.send_signal(signal_number)

    def terminate(self, within: float = ENDS_WITHIN) -> int:
        """SIGTERM, as a cluster ends a pod; returns the exit code."""
        self.send(signal.SIGTERM)
        return self.wait(within)

    def kill(self) -> int:
        """SIGKILL, as a lost node ends a pod; returns the exit code."""
        self.send(signal.SIGKILL)
        return self.wait()

    def stop(self) -> None:
        """End it for good, politely first: what a fixture does behind a test, whatever the test has left."""
        if self.exit_code is not None:
            return
        self.send(signal.SIGCONT)
        self.send(signal.SIGTERM)
        patience = threading.Timer(ENDS_WITHIN / 2, self._popen.kill)
        patience.start()
        self._popen.wait()
        patience.cancel()


class ProcessEndedError(Exception):
    """A process ended while a test waited for it; no AssertionError, since waiting longer is in vain."""
