"""Render for a terminal: tables, colours, JSON, YAML, and ages as `kubectl get` does.

The commands print through it. Text of a cluster may hold control characters, which must
not reach the terminal. Only `printable` escapes them, so callers pass such text to it
before they build tables and lines.
"""

import json
import math
from collections.abc import Iterable, Sequence
from datetime import datetime

import click
import msgspec
import yaml

from configmapsync.reasons import Reason, State

COLUMN_GAP = "   "
COLORS = {State.READY: "green", State.PENDING: "yellow", State.FAILED: "red"}
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
# Below so many seconds an age is printed in a unit, and in a smaller one if there is a rest.
AGES = (
    (2 * 60, "s", ""),
    (10 * 60, "m", "s"),
    (3 * 3600, "m", ""),
    (8 * 3600, "h", "m"),
    (2 * 86400, "h", ""),
    (8 * 86400, "d", "h"),
    (math.inf, "d", ""),
)


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
        return json.dumps(document, indent=2) + "\n"
    return str(yaml.safe_dump(document, sort_keys=False))


def show(value: object, lines: Iterable[str], output: str) -> None:
    """Print a value as `json` or `yaml`, or its lines for another output."""
    if output in {"json", "yaml"}:
        click.echo(rendered(value, output), nl=False)
    else:
        click.echo("".join(f"{line}\n" for line in lines), nl=False)


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


def state_of(word: str) -> State:
    """Return what a reason means; an unknown one is taken for pending."""
    reason = Reason.parse(word)
    return reason.state if reason else State.PENDING


def painted(text: str, word: str) -> str:
    """Return text in the color of a reason; of an unknown reason in yellow."""
    return click.style(text, fg=COLORS[state_of(word)])


def age(since: datetime | None, now: datetime) -> str:
    """Return how long ago a moment was, as `kubectl get` prints an age."""
    if since is None:
        return "<unknown>"
    passed = max(0, int((now - since).total_seconds()))
    unit, smaller = next((unit, smaller) for limit, unit, smaller in AGES if passed < limit)
    whole, rest = divmod(passed, SECONDS[unit])
    count = rest // SECONDS[smaller] if smaller else 0
    return f"{whole}{unit}{count}{smaller}" if count else f"{whole}{unit}"
