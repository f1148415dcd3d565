"""Print the manifests of a kustomization of `config/` with another image.

`make deploy` and `make build-installer` run it. `kubectl kustomize` cannot set an
image, so the script builds a temporary overlay that does. It changes no file of the
repository.
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
# The name of the image in the manifests.
PLACEHOLDER = "configmapsync"


def main() -> int:
    """Build and print the manifests; return the exit code of kubectl."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--image",
        type=parts_of,
        default={},
        metavar="IMAGE",
        help="NAME:TAG or NAME@DIGEST; default: the image of the manifests",
    )
    parser.add_argument(
        "--overlay",
        type=Path,
        default=ROOT / "config" / "default",
        metavar="PATH",
        help="the folder of the kustomization; default: config/default",
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        overlay = Path(folder) / "kustomization.yaml"
        overlay.write_text(
            yaml.safe_dump(kustomization(arguments.overlay, arguments.image, Path(folder)))
        )
        return subprocess.run([find(), "kustomize", folder], check=False).returncode


def kustomization(base: Path, image: dict[str, str], folder: Path) -> dict[str, object]:
    """Return an overlay of `base` that sets the image.

    Args:
        base: the kustomization to build.
        image: the result of `parts_of`, or empty to keep the image.
        folder: the folder of the overlay. kustomize accepts relative paths only.
    """
    document: dict[str, object] = {"resources": [os.path.relpath(base.resolve(), folder.resolve())]}
    if image:
        document["images"] = [{"name": PLACEHOLDER, **image}]
    return document


def parts_of(image: str) -> dict[str, str]:
    """Return the parts of an image reference under the keys of kustomize.

    A colon before the last slash belongs to the port of the registry.

    Raises:
        argparse.ArgumentTypeError: the reference has neither a tag nor a digest.
    """
    name, _, digest = image.partition("@")
    folder, slash, last = name.rpartition("/")
    last, _, tag = last.partition(":")
    if not (tag or digest):
        raise argparse.ArgumentTypeError(
            f"{image!r} has no tag and no digest: add one, so that the version is known"
        )
    parts = {"newName": folder + slash + last, "newTag": tag, "digest": digest}
    return {part: value for part, value in parts.items() if value}


if __name__ == "__main__":
    sys.exit(main())
