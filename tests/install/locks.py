"""Read the hashed locks, and write an index folder with newer releases.

The tests of this folder call it. It must not parse pip's whole requirements format,
because the locks use a small part of it.
"""

import re
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
LOCKS = sorted(ROOT.glob("requirements*.lock"))
NEWER = "9999"  # the version of every release in the folder of `newer_releases`
CONTINUED = re.compile(r"\s*\\\n\s*")
COMMENT = re.compile(r"(?m)^\s*#.*\n")
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")


class Entry(NamedTuple):
    """One pinned package of a lock.

    Attributes:
        requirement: the pin, with its extras and its marker.
        text: the entry of the lock, with the hashes.
    """

    requirement: Requirement
    text: str


def entries(lock: Path) -> list[Entry]:
    """Return every entry of `lock`. A package has several if its version depends on the Python."""
    texts = re.split(r"\n(?=[a-z0-9])", COMMENT.sub("", lock.read_text()))
    return [
        Entry(Requirement(HASH.sub("", CONTINUED.sub(" ", text)).strip()), text.strip())
        for text in texts
    ]


def for_this_python(lock: Path) -> dict[str, Entry]:
    """Return the entries that this Python installs, by package name."""
    return {
        entry.requirement.name: entry
        for entry in entries(lock)
        if entry.requirement.marker is None or entry.requirement.marker.evaluate()
    }


def newer_releases(names: Iterable[str], folder: Path) -> Path:
    """Write an empty wheel of version 9999 for each name into `folder`.

    pip finds them by `--find-links`.
    """
    folder.mkdir()
    for name in names:
        module = name.replace("-", "_")
        info = f"{module}-{NEWER}.dist-info"
        with zipfile.ZipFile(folder / f"{module}-{NEWER}-py3-none-any.whl", "w") as wheel:
            wheel.writestr(
                f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {NEWER}\n"
            )
            wheel.writestr(
                f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
            )
            wheel.writestr(f"{info}/RECORD", "")
    return folder
