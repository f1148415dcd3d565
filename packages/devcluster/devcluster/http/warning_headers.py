"""Render warnings of the server and of webhooks as Warning headers.

The limits are those of kube-apiserver, so that many warnings cannot make an answer
unreadable.
"""

from collections.abc import Iterable

CODE = 299  # "miscellaneous persistent warning": the only one Kubernetes uses
TOTAL_LIMIT = 4096  # characters of all warnings together
SHORTENED = 256  # characters left of each once the limit is reached


def warning_headers(texts: Iterable[str]) -> list[str]:
    """Write each distinct warning that can be shown as the value of a Warning header.

    Empty warnings and warnings with control characters are dropped. If the warnings exceed the
    limit together, each is cut; those that still do not fit are left out.
    """
    shown = [text for text in dict.fromkeys(texts) if text and text.isprintable()]
    if sum(map(len, shown)) > TOTAL_LIMIT:
        shown = [text[:SHORTENED] for text in shown][: TOTAL_LIMIT // SHORTENED]
    return [f"{CODE} - {_quoted(text)}" for text in shown]


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
