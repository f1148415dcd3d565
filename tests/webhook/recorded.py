"""The AdmissionReview bodies that a real kube-apiserver v1.36.2 sent, byte for byte.

`reviews/index.json` describes each.
"""

import gzip
import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "reviews"
INDEX: list[dict[str, Any]] = json.loads((FOLDER / "index.json").read_text())
NAMES = [entry["file"] for entry in INDEX]


def body(name: str) -> bytes:
    """The recorded body of that file name."""
    content = (FOLDER / name).read_bytes()
    return gzip.decompress(content) if name.endswith(".gz") else content


def document(name: str) -> dict[str, Any]:
    """The same, decoded, to be changed."""
    return json.loads(body(name))
