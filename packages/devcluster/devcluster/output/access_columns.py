"""The table columns of bindings and webhook configurations."""

from collections.abc import Callable, Mapping
from typing import Any

from devcluster.schema.kinds import Column

Document = Mapping[str, Any]


def _role(binding: Document) -> str:
    return f"{binding['roleRef']['kind']}/{binding['roleRef']['name']}"


def _subjects(kind: str) -> Callable[[Document], str]:
    """List the subjects of one kind, service accounts with their namespace."""

    def listed(binding: Document) -> str:
        subjects = [subject for subject in binding.get("subjects") or () if subject["kind"] == kind]
        names = (
            f"{subject.get('namespace', '')}/{subject['name']}".removeprefix("/")
            for subject in subjects
        )
        return ", ".join(names)

    return listed


ROLE = Column("Role", _role)
WEBHOOKS = Column(
    "Webhooks", lambda configuration: len(configuration.get("webhooks") or ()), "integer"
)
SUBJECTS = (
    Column("Users", _subjects("User"), priority=1),
    Column("Groups", _subjects("Group"), priority=1),
    Column("ServiceAccounts", _subjects("ServiceAccount"), priority=1),
)
