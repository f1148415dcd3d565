"""Start the processes of the demo, with a log file each, and stop them at the end.

`story.py` starts them. This module knows nothing of what they do.
"""

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

from demo.terminal import DEADLINE_SECONDS, StoryError


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
                raise StoryError(f"{name} did not stop on SIGTERM") from None

    def start(self, name: str, *arguments: str) -> None:
        """Start `python -m ARGUMENTS` and write its output to NAME.log."""
        log = (self._folder / f"{name}.log").open("wb")
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            stdout=log,
            stderr=subprocess.STDOUT,
            # Ctrl-C reaches the demo only, which stops the processes in order.
            start_new_session=True,
        )
        self._running.append((name, process))

    def wait_for_file(self, path: Path) -> None:
        """Wait until a process has written `path`."""
        self._wait(path.exists, f"{path.name} was not written")

    def wait_until_ready(self, port: int) -> None:
        """Wait until the health server on `port` reports that the process is ready."""
        self._wait(lambda: _is_ready(port), f"nothing is ready on port {port}")

    def _wait(self, holds: Callable[[], bool], problem: str) -> None:
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not holds():
            for name, process in self._running:
                if process.poll() is not None:
                    raise StoryError(
                        f"{name} has exited: {(self._folder / (name + '.log')).read_text()[-2000:]}"
                    )
            if time.monotonic() > deadline:
                raise StoryError(problem)
            time.sleep(0.02)  # noqa: TID251 - a script that waits for another process


def free_port() -> int:
    """Return a TCP port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1):
            return True
    except (urllib.error.URLError, OSError):
        return False
