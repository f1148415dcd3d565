"""Define a finding and its place, and find the line of a field path.

All other modules of this package return findings. A finding must not quote a value of a
ConfigMap.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from dryrun.yaml_nodes import Node

_PARTS = re.compile(r"\.?([^.\[\]]+)|\[([^\]]*)\]")


class Severity(StrEnum):
    """Whether a finding keeps the API server from accepting an object."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One problem at one place.

    Attributes:
        file: the name of the file.
        line: from 1.
        column: from 1.
        severity: error or warning.
        subject: the object, such as `ConfigMapSync web/config`; empty for a file.
        field: the field path; empty for an object or a file.
        message: the problem.
    """

    file: str
    line: int
    column: int
    severity: Severity
    subject: str
    field: str
    message: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}"
        parts = (where, str(self.severity), self.subject, self.field, self.message)
        return ": ".join(part for part in parts if part)


def position(node: Node, path: str) -> tuple[int, int]:
    """Return line and column of a field, or of its nearest parent that exists.

    Args:
        node: the object.
        path: such as `spec.keys[0].as`.
    """
    found = node.position
    for name, bracketed in _PARTS.findall(path):
        part = name or bracketed
        if isinstance(node.value, dict) and part in node.value:
            found, node = node.keys[part], node.value[part]
        elif isinstance(node.value, list) and part.isdecimal() and int(part) < len(node.value):
            node = node.value[int(part)]
            found = node.position
        else:
            break
    return found
