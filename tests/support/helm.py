"""Run the real helm on the project's chart."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.support.manifests import CONFIG, Manifest

CHART = CONFIG.parent / "charts" / "configmapsync"
RELEASE, NAMESPACE = "configmapsync", "configmapsync-system"
TIMEOUT_SECONDS = 120.0

Values = dict[str, Any]


def helm_program() -> str | None:
    """Return the helm of PATH, else the one beside the interpreter, else None."""
    return shutil.which("helm") or shutil.which(Path(sys.executable).parent / "helm")


def helm(
    *arguments: str | Path,
    home: Path,
    values: Values | None = None,
    kubeconfig: Path = Path(os.devnull),
) -> subprocess.CompletedProcess[str]:
    """Run helm without this machine's configuration and return any exit code.

    Args:
        arguments: after `helm`.
        home: a folder for its caches.
        values: the content of the `--values` file.
        kubeconfig: of the cluster to use; none by default.
    """
    command = [str(helm_program()), *map(str, arguments)]
    if values is not None:
        command += ["--values", "-"]
    places = {f"HELM_{kind}_HOME": str(home / kind.lower()) for kind in ("CACHE", "CONFIG", "DATA")}
    return subprocess.run(
        command,
        input=yaml.safe_dump(values or {}),
        env={**os.environ, **places, "KUBECONFIG": str(kubeconfig)},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )


def render(
    home: Path,
    values: Values | None = None,
    release: str = RELEASE,
    namespace: str = NAMESPACE,
    *,
    tests: bool = False,
) -> list[Manifest]:
    """Return every object of a release; those of `helm test` only with `tests`.

    Raises:
        AssertionError: helm refused the values; the message is helm's.
    """
    skipped = () if tests else ("--skip-tests",)
    done = helm(
        *("template", release, CHART, "--namespace", namespace, *skipped),
        home=home,
        values=values or {},
    )
    assert done.returncode == 0, done.stderr
    return [manifest for manifest in yaml.safe_load_all(done.stdout) if manifest]
