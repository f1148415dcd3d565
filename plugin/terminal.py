"""Render for a terminal: tables, colours, JSON, YAML, and ages as `kubectl get` does.

The commands print through it. Text of a cluster may hold control characters, which must
not reach the terminal: `printable` escapes them.
"""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import click
import msgspec
import yaml

from configmapsync.reasons import Reason, State

COLUMN_GAP = "   "
COLORS = {State.READY: "green", State.PENDING: "yellow", State.FAILED: "red"}
UNITS = {"d": timedelta(days=1), "h": timedelta(hours=1), "m": timedelta(minutes=1)}


def printable(text: str) -> str:
    """Return text in one line, with every control character escaped."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text.replace("\n", " ").replace("\t", " ")
    )


def counted(count: int, noun: str) -> str:
    """Return a number with its noun, such as `1 sync` and `2 syncs`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def rendered(value: object, output: str) -> str:
    """Return a value, such as a dataclass, as `json` or `yaml` with a line break at the end."""
    document = msgspec.to_builtins(value)
    if output == "json":
        return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    return str(yaml.safe_dump(document, sort_keys=False, allow_unicode=True))


def shortened(text: str, limit: int) -> str:
    """Return at most `limit` characters of a text."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def listed(names: Sequence[str], most: int) -> str:
    """Return the first names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a table with aligned columns, as `kubectl get` prints it."""
    lines = [headers, *rows]
    widths = [
        max(len(click.unstyle(cell)) for cell in column) for column in zip(*lines, strict=True)
    ]
    return [
        COLUMN_GAP.join(
            cell + " " * (width - len(click.unstyle(cell)))
            for cell, width in zip(line, widths, strict=True)
        ).rstrip()
        for line in lines
    ]


def painted(text: str, word: str) -> str:
    """Return text in the color of a reason; of an unknown reason in yellow."""
    reason = Reason.parse(word)
    return click.style(text, fg=COLORS[reason.state if reason else State.PENDING])


def age(since: datetime | None, now: datetime) -> str:
    """Return how long ago a moment was, as `kubectl get` prints an age."""
    if since is None:
        return "<unknown>"
    passed = max(timedelta(), now - since)
    if passed < timedelta(minutes=2):
        return f"{passed.seconds}s"
    if passed < timedelta(minutes=10):
        return _pair(passed, "m", timedelta(seconds=1), "s")
    if passed < timedelta(hours=3):
        return f"{passed // UNITS['m']}m"
    if passed < timedelta(hours=8):
        return _pair(passed, "h", UNITS["m"], "m")
    if passed < timedelta(days=2):
        return f"{passed // UNITS['h']}h"
    if passed < timedelta(days=8):
        return _pair(passed, "d", UNITS["h"], "h")
    return f"{passed.days}d"


def _pair(passed: timedelta, unit: str, smaller: timedelta, smaller_unit: str) -> str:
    """Return an age in two units, without the smaller one if it is zero."""
    whole, rest = divmod(passed, UNITS[unit])
    return f"{whole}{unit}" + (f"{rest // smaller}{smaller_unit}" if rest >= smaller else "")
