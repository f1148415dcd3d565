"""Make the table of the chart's values from the comments of `values.yaml`.

Only `chart.py` calls it. The comment on the line of a key is its description; the
defaults of a key are those of the file, so the table cannot contradict them.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import yaml

BEGIN, END = "<!-- values: generated from values.yaml -->\n", "<!-- end of values -->\n"
COMMENT = re.compile(r"^[^#\"]*(?:\"[^\"]*\"[^#\"]*)*#\s*(.+)$")
# Mappings that users set as a whole; their keys are not those of the chart.
WHOLE = frozenset({"resources"})


def with_table(readme: str, values: str) -> str:
    """Return the README with the table between its two markers.

    Raises:
        ValueError: a marker is missing, or a key has no description.
    """
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError("README.md of the chart lacks the markers of the table")
    return f"{before}{BEGIN}{table(values)}{END}{after}"


def table(values: str) -> str:
    """Return one row for each key: path, default and description."""
    lines = values.splitlines()
    rows = ["| value | default | description |", "|---|---|---|"]
    for path, node in _keys(yaml.compose(values), ""):
        description = COMMENT.match(lines[node[0].start_mark.line])
        if description is None:
            raise ValueError(f"values.yaml: {path} has no comment on its line")
        default = json.dumps(_plain(node[1]))
        rows.append(f"| `{path}` | `{default}` | {description[1]} |")
    return "\n".join(rows) + "\n"


def _keys(mapping: Any, parent: str) -> Iterator[tuple[str, tuple[Any, Any]]]:
    for key, value in mapping.value:
        path = f"{parent}.{key.value}" if parent else key.value
        nested = isinstance(value, yaml.MappingNode) and value.value and key.value not in WHOLE
        if nested:
            yield from _keys(value, path)
        else:
            yield path, (key, value)


def _plain(node: Any) -> Any:
    return yaml.safe_load(yaml.serialize(node))
