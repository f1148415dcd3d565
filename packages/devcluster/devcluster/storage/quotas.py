"""Count objects against ResourceQuotas. Pure; amounts of CPU and memory are ignored.

`registry.py` asks before it stores a new object. A quota gets no status.
"""

from collections.abc import Iterable, Mapping
from typing import Any

SHORT_FORMS = (
    "configmaps",
    "persistentvolumeclaims",
    "pods",
    "resourcequotas",
    "secrets",
    "services",
)

Document = Mapping[str, Any]


def counted_as(group: str, plural: str) -> tuple[str, ...]:
    """The names under which a quota may count a kind."""
    full = f"count/{plural}.{group}" if group else f"count/{plural}"
    return (full, plural) if not group and plural in SHORT_FORMS else (full,)


def limits(quota: Document) -> dict[str, str]:
    """What a quota limits, as it is written."""
    return {
        name: str(limit) for name, limit in ((quota.get("spec") or {}).get("hard") or {}).items()
    }


def exceeded(quotas: Iterable[Document], group: str, plural: str, count: int) -> str | None:
    """Return why one more object after `count` exceeds a quota; None if it does not."""
    for quota in quotas:
        hard = limits(quota)
        full = [
            name
            for name in counted_as(group, plural)
            if hard.get(name, "").isdecimal() and count >= int(hard[name])
        ]
        if full:
            told = {
                "requested": ",".join(f"{name}=1" for name in full),
                "used": ",".join(f"{name}={count}" for name in full),
                "limited": ",".join(f"{name}={hard[name]}" for name in full),
            }
            why = ", ".join(f"{word}: {amounts}" for word, amounts in told.items())
            return f"exceeded quota: {quota['metadata']['name']}, {why}"
    return None
