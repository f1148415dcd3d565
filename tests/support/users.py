"""The people of a test cluster, known to it by token: an admin, and two who start without any rights."""

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
    """Somebody with a token."""

    name: str
    token: str
    groups: tuple[str, ...] = ()


def new_users() -> tuple[User, ...]:
    """Everybody, with fresh tokens: no other run on this machine can talk to this cluster by mistake."""
    return tuple(User(name, secrets.token_hex(16), groups) for name, groups in PEOPLE.items())


def write_token_file(path: Path, users: Sequence[User]) -> Path:
    """Write them in kube-apiserver's format: token, user, uid, "group1,group2"; the uid is empty, as people's uids are.

    Who is in no group gets no fourth column: an empty one would be a group without a name.
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
        path: where to.
        url: of the API server.
        authority: PEM file that vouches for it; None over plain HTTP.
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
