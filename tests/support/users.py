"""The users of a test cluster: an admin, and two users without any rights.

Each authenticates by a token.
"""

import csv
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

ADMIN = "admin"
PEOPLE = {ADMIN: ("system:masters",), "alice": (), "bob": ()}  # name -> groups


@dataclass(frozen=True, slots=True)
class User:
    """A user with a token."""

    name: str
    token: str
    groups: tuple[str, ...] = ()


def new_users() -> tuple[User, ...]:
    """Return every user with a fresh token, which is valid for this cluster alone."""
    return tuple(User(name, secrets.token_hex(16), groups) for name, groups in PEOPLE.items())


def write_token_file(path: Path, users: Sequence[User]) -> Path:
    """Write the users in kube-apiserver's format: token, user, uid, "group1,group2".

    The uid is empty, as for human users. A user without groups has no fourth column, because an
    empty column would be a group without a name.
    """
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        for user in users:
            rows.writerow(
                [user.token, user.name, "", *([",".join(user.groups)] if user.groups else [])]
            )
    return path


def write_kubeconfig(
    path: Path, url: str, authority: Path | None, credentials: dict[str, str]
) -> Path:
    """Write a kubeconfig with one context.

    Args:
        path: of the file.
        url: of the API server.
        authority: the PEM file of its CA; None over plain HTTP.
        credentials: the `user` entry: a token, or the files of a client certificate.
    """
    cluster = (
        {"server": url}
        if authority is None
        else {"server": url, "certificate-authority": str(authority)}
    )
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": "test", "user": credentials}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "current-context": "test",
    }
    path.write_text(yaml.safe_dump(document))
    path.chmod(0o600)
    return path
