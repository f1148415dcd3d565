"""Read the texts of files, folders and standard input, each up to a bound.

`files.py` and the plugin call it. It does not parse them. An error message must not
quote the content of a file, because it may hold secrets.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

SUFFIXES = frozenset({".yaml", ".yml", ".json"})
STANDARD_INPUT = "-"
STANDARD_INPUT_NAME = "standard input"
LARGEST_FILE = 64 << 20  # characters


class UnreadableFileError(Exception):
    """A file cannot be read, or is not Kubernetes objects. The message has one line."""


def texts(filename: str) -> Iterator[tuple[str, str]]:
    """Yield the text of each file, and the name of the file for messages.

    Args:
        filename: a file, a folder, or `-` for standard input. Of a folder every .yaml, .yml and
            .json file is read, but no folder inside it.

    Raises:
        UnreadableFileError: a file cannot be read, or is too large.
    """
    if filename == STANDARD_INPUT:
        yield _bounded(sys.stdin.read(LARGEST_FILE + 1), STANDARD_INPUT_NAME), STANDARD_INPUT_NAME
        return
    file = path = Path(filename)
    try:
        files = [path]
        if path.is_dir():
            files = sorted(child for child in path.iterdir() if child.suffix in SUFFIXES)
        for file in files:
            with file.open(encoding="utf-8") as opened:
                text = opened.read(LARGEST_FILE + 1)
            yield _bounded(text, str(file)), str(file)
    except (OSError, UnicodeDecodeError) as error:
        raise UnreadableFileError(f"cannot read {file}: {error.__class__.__name__}") from error


def _bounded(text: str, origin: str) -> str:
    if len(text) > LARGEST_FILE:
        raise UnreadableFileError(f"{origin} has more than {LARGEST_FILE} characters")
    return text
