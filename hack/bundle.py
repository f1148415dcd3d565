"""Print a kustomization of `config/` with the image of your registry in it, as `kubectl apply -f` takes it.

`make deploy` and `make build-installer` run it. kubectl builds kustomizations but sets no image, so it builds an overlay that does: one
of a few lines in a temporary folder, which leaves the files of the repository as they are.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml
from kubectl import find

ROOT = Path(__file__).resolve().parents[1]
PLACEHOLDER = "configmapsync"  # what the manifests call the image


def main() -> int:
    """Build and print; returns the exit code of kubectl."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--image",
        type=parts_of,
        default={},
        help="NAME:TAG or NAME@DIGEST; default: what the manifests say",
    )
    parser.add_argument(
        "--overlay",
        type=Path,
        default=ROOT / "config" / "default",
        help="the kustomization to build",
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        overlay = Path(folder) / "kustomization.yaml"
        overlay.write_text(
            yaml.safe_dump(kustomization(arguments.overlay, arguments.image, Path(folder)))
        )
        return subprocess.run([find(), "kustomize", folder], check=False).returncode


def kustomization(base: Path, image: dict[str, str], folder: Path) -> dict[str, object]:
    """Lay the parts of an image over `base`, for a kustomization that lies in `folder`: it takes no absolute paths."""
    document: dict[str, object] = {"resources": [os.path.relpath(base.resolve(), folder.resolve())]}
    if image:
        document["images"] = [{"name": PLACEHOLDER, **image}]
    return document


def parts_of(image: str) -> dict[str, str]:
    """Split a reference as kustomize wants it; a colon before the last slash is a registry's port."""
    name, _, digest = image.partition("@")
    folder, slash, last = name.rpartition("/")
    last, _, tag = last.partition(":")
    if not (tag or digest):
        raise argparse.ArgumentTypeError(
            f"{image!r} has no tag and no digest: nobody could tell what runs"
        )
    parts = {"newName": folder + slash + last, "newTag": tag, "digest": digest}
    return {part: value for part, value in parts.items() if value}


if __name__ == "__main__":
    sys.exit(main())
