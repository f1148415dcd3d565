"""Globs as everything of ours understands them: `*` is any number of characters, `?` is one, and the whole name must match."""

import re
from functools import lru_cache


def is_glob(text: str) -> bool:
    """Whether `text` is a pattern rather than a name."""
    return "*" in text or "?" in text


@lru_cache(maxsize=4096)
def compiled(pattern: str) -> re.Pattern[str]:
    """The pattern as a regular expression for `fullmatch`.

    The text between two stars is taken where it is found first, and never elsewhere (an atomic group): where the first does not lead to
    a match no later one does, and trying them all would let one hostile pattern hold up everybody.
    """
    first, *rest = (_translate(part) for part in re.split(r"\*+", pattern))
    if not rest:
        return re.compile(first, re.DOTALL)
    *middle, last = rest
    return re.compile(first + "".join(f"(?>.*?{part})" for part in middle) + f".*{last}", re.DOTALL)


def matches(pattern: str, name: str) -> bool:
    """Whether `name` as a whole is what `pattern` describes."""
    return compiled(pattern).fullmatch(name) is not None


def _translate(part: str) -> str:
    return ".".join(re.escape(text) for text in part.split("?"))
