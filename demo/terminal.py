"""Print the headings of the demo, run its commands and verify their outcome.

`story.py` uses it. Each command is printed as typed, with the real output.
"""

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
# A single outcome that takes longer fails the demo.
DEADLINE_SECONDS = 30.0


class StoryError(Exception):
    """A step of the demo failed."""


class Terminal:
    """Prints text, runs commands and verifies results."""

    def __init__(self, kubectl: str, kubeconfig: Path | None, *, verbose: bool = False) -> None:
        """Create a terminal.

        Args:
            kubectl: the program.
            kubeconfig: its file; None for the user's own.
            verbose: whether the commands of the set-up are printed too.
        """
        self._kubectl = kubectl
        self._verbose = verbose
        named = {} if kubeconfig is None else {"KUBECONFIG": str(kubeconfig)}
        self._environment = {**os.environ, **named}

    def heading(self, text: str) -> None:
        """Print a heading."""
        print(f"\n{BOLD}## {text}{PLAIN}", flush=True)

    def say(self, text: str) -> None:
        """Print a line."""
        print(text, flush=True)

    def kubectl(self, command: str, *, show: bool = True) -> str:
        """Run `kubectl COMMAND` and return its output; print both if `show` is set.

        Raises:
            StoryError: kubectl failed.
        """
        answer, output = self._run(command, show=show)
        if answer.returncode:
            raise StoryError(f"kubectl {command}: exit code {answer.returncode}\n{output}")
        return answer.stdout

    def set_up(self, command: str) -> str:
        """Run `kubectl COMMAND` of the set-up, print both if verbose, and return the output."""
        return self.kubectl(command, show=self._verbose)

    def popen(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start kubectl with a pipe for its output."""
        return subprocess.Popen(
            [self._kubectl, *arguments], env=self._environment, stdout=subprocess.PIPE
        )

    def refused(self, command: str, because: str) -> None:
        """Run `kubectl COMMAND` and verify that it is rejected with the text `because`."""
        answer, output = self._run(command, show=True)
        if answer.returncode == 0 or because not in output:
            raise StoryError(f"kubectl {command} was not rejected with {because!r}\n{output}")
        self.done(f"rejected: {because}")

    def warned(self, command: str, of: str) -> None:
        """Run `kubectl COMMAND` and verify that it succeeds with the warning `of`."""
        answer, output = self._run(command, show=True)
        if answer.returncode or of not in output:
            raise StoryError(
                f"kubectl {command} was not accepted with the warning {of!r}\n{output}"
            )
        self.done(f"accepted with a warning: {of}")

    def command(self, *arguments: str) -> None:
        """Run `python -m ARGUMENTS` of the set-up, and print both if verbose.

        Raises:
            StoryError: it failed; the message has its output.
        """
        answer = subprocess.run(
            [sys.executable, "-m", *arguments], capture_output=True, text=True, check=False
        )
        output, command = answer.stdout + answer.stderr, f"python -m {shlex.join(arguments)}"
        if answer.returncode:
            raise StoryError(f"{command}: exit code {answer.returncode}\n{output}")
        if self._verbose:
            print(f"{BOLD}$ {command}{PLAIN}\n{output}", end="", flush=True)

    def done(self, promise: str) -> None:
        """Print that a promise is verified."""
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
        """Wait until `holds` returns true and print the promise.

        Raises:
            StoryError: it does not become true in time.
        """
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not holds():
            if time.monotonic() > deadline:
                self.fail(promise)
            time.sleep(0.02)  # noqa: TID251 - a script that waits for another process
        self.done(promise)

    def fail(self, promise: str) -> NoReturn:
        """Raise StoryError for a promise that did not become true."""
        raise StoryError(f"not true within {DEADLINE_SECONDS:.0f} s: {promise}")
