"""Render answers in YAML without anchors for values that occur twice."""

from typing import Any

import yaml


class _Plain(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the library's signature
        """Write everything out."""
        return True


def yaml_text(document: Any) -> bytes:
    """Write a document as YAML."""
    return yaml.dump(document, Dumper=_Plain, encoding="utf-8")
