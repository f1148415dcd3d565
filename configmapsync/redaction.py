"""What an API server says of a ConfigMap, without the ConfigMap's values.

A refusal is passed on in the server's own words, and those may quote: an admission policy of the cluster that names the value it
forbids, a field error with the whole text of a field. Statuses, events and logs are read by more people than the ConfigMap is. What is
found in the content is cut out, piece by piece, since a quote may be escaped, shortened, or one line of many. Keys are not values.
"""

import re
from collections.abc import Iterator

from configmapsync.content import Content

CUT_OUT = "[value]"
SHORTEST = 4  # characters; what is shorter cannot be told from the words around it
BREAKS = re.compile(
    r"[\"'`\\<>&\x00-\x1f\x7f\u2028\u2029]+"
)  # what is escaped one way or the other where a value is quoted


def without_values(message: str, content: Content) -> str:
    """`message` with every piece of a value of `content` cut out; one that was capped may end with the beginning of a piece."""
    beginnings = {message[start : start + SHORTEST] for start in range(len(message))}
    found = {piece for piece in _pieces(content) if piece[:SHORTEST] in beginnings}
    for piece in sorted(found, key=len, reverse=True):
        message = _without(message, piece)
    return message


def _pieces(content: Content) -> Iterator[str]:
    for values in (content.data, content.binary_data):
        for value in values.values():
            yield from (piece for part in BREAKS.split(value) if len(piece := part.strip()) >= SHORTEST)


def _without(message: str, piece: str) -> str:
    message = message.replace(piece, CUT_OUT)
    for start in range(len(message) - SHORTEST + 1):
        if piece.startswith(message[start:]):
            return message[:start] + CUT_OUT
    return message
