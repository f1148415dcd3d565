"""Globs as everything of ours understands them: `*` is any number of characters, `?` is one, and the whole name must match."""

import re
from functools import lru_cache


def is_glob(text: str) -> bool:
    """Whether `text` is a pattern rather than a name."""
    return "*" in text or "?" in text


@lru_cache(maxsize=4096)
def compiled(pattern: str) -> re.Pattern[str]:
    """The pattern as a regular expression for `fullmatch`; adjacent stars are one, so that no pattern takes long."""
    parts = re.split(r"(\*+|\?)", pattern)
    return re.compile("".join(_translate(part) for part in parts), re.DOTALL)


def matches(pattern: str, name: str) -> bool:
    """Whether `name` as a whole is what `pattern` describes."""
    return compiled(pattern).fullmatch(name) is not None


def _translate(part: str) -> str:
    if part.startswith("*"):
        return ".*"
    return "." if part == "?" else re.escape(part)
