"""Render imported syncs as YAML, with the remarks as comments.

`plugin/commands/import_.py` prints the result. Annotations are written by tenants, so
no control character of them may reach a terminal or end a comment.
"""

import textwrap
from collections import defaultdict
from collections.abc import Iterable, Iterator

import yaml

from plugin.peers.inventory import Remark
from plugin.peers.syncs import ImportedSync
from plugin.terminal import listed, printable

COLUMNS = 100
MOST_SUBJECTS = 8  # named in one comment
HEADER = (
    "Written by kubectl configmapsync import. Stop the other tool before you apply this file, "
    "and keep its annotations until then: docs/moving.md has the steps."
)


def as_yaml(syncs: Iterable[ImportedSync], remarks: Iterable[Remark]) -> str:
    """Return one document for each sync, and the remarks about no sync at the end."""
    left: dict[str, list[Remark]] = defaultdict(list)
    for remark in remarks:
        left[remark.subject].append(remark)
    lines = [*_comment(HEADER)]
    for sync in syncs:
        lines.append("---")
        lines += _comment(f"{', '.join(sync.tools)}: {listed(sync.subjects, MOST_SUBJECTS)}")
        for subject in sync.subjects:
            for remark in left.pop(subject, ()):
                lines += _comment(str(remark), bullet="- ")
        text = yaml.safe_dump(dict(sync.document), sort_keys=False, width=COLUMNS)
        lines += text.rstrip("\n").split("\n")
    others = [remark for subject in sorted(left) for remark in left[subject]]
    if others:
        lines += ["---", "# Without a sync:"]
        for remark in others:
            lines += _comment(str(remark), bullet="- ")
    return "\n".join(lines) + "\n"


def _comment(text: str, bullet: str = "") -> Iterator[str]:
    yield from textwrap.wrap(
        printable(text),
        COLUMNS,
        initial_indent=f"# {bullet}",
        subsequent_indent=f"# {' ' * len(bullet)}",
        break_long_words=False,
        break_on_hyphens=False,
    )
