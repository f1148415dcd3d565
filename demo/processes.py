"""The real processes of the story, each with its log in a file, all stopped at the end."""

import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from demo.terminal import DEADLINE, StoryFailed


class Processes:
    """Starts processes and stops them in reverse order."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: list[tuple[str, subprocess.Popen[bytes]]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for name, process in reversed(self._running):
            process.terminate()
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()
                raise StoryFailed(f"{name} did not stop on SIGTERM") from None

    def start(self, name: str, *arguments: str) -> None:
        """Start `python -m ARGUMENTS`; its output goes to NAME.log."""
        log = (self._folder / f"{name}.log").open("wb")
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for the story, which ends them in order
        )
        self._running.append((name, process))

    def wait_for_file(self, path: Path) -> None:
        """Wait until a process has written `path`."""
        self._wait(path.exists, f"{path.name} was not written")

    def wait_until_ready(self, port: int) -> None:
        """Wait until the health server on `port` says the process is ready."""
        self._wait(lambda: _is_ready(port), f"nothing is ready on port {port}")

    def _wait(self, holds: Callable[[], bool], problem: str) -> None:
        deadline = time.monotonic() + DEADLINE
        while not holds():
            for name, process in self._running:
                if process.poll() is not None:
                    raise StoryFailed(
                        f"{name} ended: {(self._folder / (name + '.log')).read_text()[-2000:]}"
                    )
            if time.monotonic() > deadline:
                raise StoryFailed(problem)
            time.sleep(0.02)  # noqa: TID251 - a script that waits for another process


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1):
            return True
    except (urllib.error.URLError, OSError):
        return False
