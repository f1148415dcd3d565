"""Build `config/` as `kubectl apply -k` does.

Names, namespace and image are those of a cluster.
"""

import copy
import functools
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.support.kubectl import kubectl_program

CONFIG = Path(__file__).parents[2] / "config"
DEFAULT = CONFIG / "default"

Manifest = dict[str, Any]


def build(folder: Path = DEFAULT) -> list[Manifest]:
    """Return every object of a kustomization in the order of kubectl, as a new copy."""
    return copy.deepcopy(_built(folder))


def build_text(folder: Path) -> str:
    """Return the output of `kubectl kustomize`.

    Raises:
        AssertionError: it cannot be built; the message is kubectl's.
    """
    command = [str(kubectl_program()), "kustomize", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    # Kustomize warns of syntax that it is about to drop.
    assert done.stderr == "", done.stderr
    return done.stdout


def of_kind(manifests: Sequence[Manifest], *kinds: str) -> list[Manifest]:
    """Return the objects of these kinds."""
    return [manifest for manifest in manifests if manifest["kind"] in kinds]


def named(manifests: Sequence[Manifest], kind: str, name: str) -> Manifest:
    """Return the one object of a kind and name."""
    [found] = [
        manifest for manifest in of_kind(manifests, kind) if manifest["metadata"]["name"] == name
    ]
    return found


def pod_specs(manifests: Sequence[Manifest]) -> Iterator[tuple[str, Manifest]]:
    """Yield `Kind/name` and the pod spec of every object that creates pods."""
    for manifest in manifests:
        spec = manifest.get("spec") or {}
        template = (spec.get("jobTemplate", {}).get("spec") or spec).get("template")
        if manifest["kind"] in ("Deployment", "Job", "CronJob"):
            yield f"{manifest['kind']}/{manifest['metadata']['name']}", template["spec"]


@functools.cache
def _built(folder: Path) -> list[Manifest]:
    return list(yaml.safe_load_all(build_text(folder)))
