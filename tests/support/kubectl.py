"""Run the real kubectl with one kubeconfig, without this machine's configuration."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

TIMEOUT_SECONDS = 60.0


def kubectl_program() -> Path:
    """Return the kubectl of PATH, else the one that `make` puts beside the interpreter.

    Raises:
        FileNotFoundError: there is none.
    """
    found = shutil.which("kubectl") or shutil.which(
        "kubectl", path=str(Path(sys.executable).parent)
    )
    if found is None:
        raise FileNotFoundError("there is no kubectl: install one, or run hack/kubectl.py")
    return Path(found)


class KubectlError(AssertionError):
    """kubectl ended with an exit code other than 0; the message holds its output."""


class Kubectl:
    """Runs kubectl as a process for each call; a test that only reads takes `Cluster.get`."""

    def __init__(self, kubeconfig: Path, cache: Path) -> None:
        """Keep the kubeconfig; `cache` is a folder for kubectl's discovery cache."""
        self._fixed = [f"--kubeconfig={kubeconfig}", f"--cache-dir={cache}"]
        self._environment = {**os.environ, "KUBERC": "off", "KUBE_EDITOR": "false"}
        self._environment.pop("KUBECONFIG", None)

    def command(self, *arguments: str | Path) -> list[str]:
        """Return the command line, for a test that starts kubectl as a process (`get -w`)."""
        return [str(kubectl_program()), *self._fixed, *(str(argument) for argument in arguments)]

    def __call__(
        self,
        *arguments: str | Path,
        input: str | None = None,  # noqa: A002 - subprocess.run calls it so
        check: bool = True,
        editor: str | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl and return its output.

        Args:
            arguments: after `kubectl`.
            input: its standard input, for `-f -`.
            check: raise KubectlError on an exit code other than 0.
            editor: the command that `kubectl edit` opens.
        """
        environment = (
            self._environment if editor is None else {**self._environment, "KUBE_EDITOR": editor}
        )
        done = subprocess.run(
            self.command(*arguments),
            input=input,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            env=environment,
            check=False,
        )
        if check and done.returncode != 0:
            raise KubectlError(
                f"kubectl {' '.join(map(str, arguments))} ended with {done.returncode}\n"
                f"{done.stdout}{done.stderr}"
            )
        return done
