"""What the story prints, and the commands it runs: shown as typed, answered by the real thing."""

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

BOLD, GREEN, RED, PLAIN = (
    ("\033[1m", "\033[32m", "\033[31m", "\033[0m") if sys.stdout.isatty() else ("",) * 4
)
DEADLINE = 30.0  # seconds any single outcome may take before the demo fails


class StoryFailed(Exception):
    """A step did not come true."""


class Terminal:
    """Prints headings, runs commands, verifies."""

    def __init__(self, kubectl: str, kubeconfig: Path) -> None:
        self._kubectl = kubectl
        self._environment = {**os.environ, "KUBECONFIG": str(kubeconfig)}

    def heading(self, text: str) -> None:
        """Begin a chapter."""
        print(f"\n{BOLD}## {text}{PLAIN}", flush=True)

    def say(self, text: str) -> None:
        """One line of telling."""
        print(text, flush=True)

    def kubectl(self, command: str, *, show: bool = True) -> str:
        """Run `kubectl COMMAND`, show it with its output, and return the output."""
        answer, output = self._run(command, show=show)
        if answer.returncode:
            raise StoryFailed(f"kubectl {command}: exit code {answer.returncode}\n{output}")
        return answer.stdout

    def refused(self, command: str, because: str) -> None:
        """Run `kubectl COMMAND`, show it, and verify that it is refused with these words."""
        answer, output = self._run(command, show=True)
        if answer.returncode == 0 or because not in output:
            raise StoryFailed(f"kubectl {command} was to be refused with {because!r}\n{output}")
        self.done(f"refused: {because}")

    def warned(self, command: str, of: str) -> None:
        """Run `kubectl COMMAND`, show it, and verify that it is accepted with a warning in these words."""
        answer, output = self._run(command, show=True)
        if answer.returncode or of not in output:
            raise StoryFailed(
                f"kubectl {command} was to be accepted with a warning of {of!r}\n{output}"
            )
        self.done(f"accepted, with a warning: {of}")

    def command(self, *arguments: str) -> None:
        """Run one of our own tools as `python -m ...`, and show it with its output."""
        print(f"{BOLD}$ python -m {shlex.join(arguments)}{PLAIN}", flush=True)
        answer = subprocess.run(
            [sys.executable, "-m", *arguments], capture_output=True, text=True, check=False
        )
        print(answer.stdout + answer.stderr, end="", flush=True)
        if answer.returncode:
            raise StoryFailed(f"python -m {shlex.join(arguments)}: exit code {answer.returncode}")

    def done(self, promise: str) -> None:
        """Say that something came true."""
        print(f"{GREEN}✓ {promise}{PLAIN}", flush=True)

    def _run(self, command: str, *, show: bool) -> tuple[subprocess.CompletedProcess[str], str]:
        if show:
            print(f"{BOLD}$ kubectl {command}{PLAIN}", flush=True)
        answer = subprocess.run(
            [self._kubectl, *shlex.split(command)],
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        output = answer.stdout + answer.stderr
        if show:
            print(output, end="" if output.endswith("\n") else "\n", flush=True)
        return answer, output

    def verify(self, promise: str, holds: Callable[[], bool]) -> None:
        """Wait until `holds`, and say so; a promise that does not come true ends the story."""
        deadline = time.monotonic() + DEADLINE
        while not holds():
            if time.monotonic() > deadline:
                self.fail(promise)
            time.sleep(0.02)  # noqa: TID251 - a script that waits for another process
        self.done(promise)

    def fail(self, promise: str) -> NoReturn:
        """End the story."""
        raise StoryFailed(f"not so within {DEADLINE:.0f} s: {promise}")
