"""Authenticate by static token or service account token.

An unknown token is an error (401); a request without credentials belongs to the
anonymous user.
Authorization is in `rbac.py`, impersonation in `impersonation.py`.
"""

import csv
import hmac
from collections.abc import Iterable, Mapping
from typing import Protocol

from devcluster.access.tokens import ISSUER
from devcluster.access.users import User, anonymous, authenticated

BEARER = "bearer "
Audiences = tuple[str, ...]


class TokenFileError(ValueError):
    """A line of a token file is not `token,user,uid,"group1,group2"`."""


class TokenVerifier(Protocol):
    """Verifies tokens that the server itself has signed (tokens.py)."""

    def verify_for(self, token: str, audiences: Audiences) -> tuple[User, Audiences] | None:
        """Return the user and the accepting `audiences`; None if none accepts the token."""


class Authenticator:
    """Turns the credentials of a request into a user."""

    def __init__(
        self, static_tokens: Mapping[str, User], service_account_tokens: TokenVerifier
    ) -> None:
        self._static_tokens = {token.encode(): user for token, user in static_tokens.items()}
        self._service_account_tokens = service_account_tokens

    def authenticate(self, authorization: str | None) -> User | None:
        """Return the user of an Authorization header; None if the credentials are bad (401)."""
        token = bearer_token(authorization)
        if token is None:
            return anonymous()
        found = self.review_token(token, ())
        return found[0] if found else None

    def review_token(self, token: str, audiences: Audiences) -> tuple[User, Audiences] | None:
        """Return the user of a token and the accepting `audiences`.

        No audience means the API server itself, for which alone static tokens are. Returns None if
        the token is unknown or has none of the audiences.
        """
        asked = audiences or (ISSUER,)
        presented = token.encode(errors="surrogateescape")
        for known, user in self._static_tokens.items():
            if hmac.compare_digest(known, presented):
                return (user, (ISSUER,)) if ISSUER in asked else None
        return self._service_account_tokens.verify_for(token, asked)


def bearer_token(authorization: str | None) -> str | None:
    """Take the token out of an Authorization header; None if the header carries no bearer token."""
    if authorization is None or authorization[: len(BEARER)].lower() != BEARER:
        return None
    return authorization[len(BEARER) :].strip() or None


def parse_token_file(lines: Iterable[str]) -> dict[str, User]:
    """Read a token file with lines of `token,user,uid,"group1,group2"`; groups are optional.

    Raises:
        TokenFileError: a line with fewer than three fields, or without a user name.
    """
    users: dict[str, User] = {}
    reader = csv.reader(lines, skipinitialspace=True)
    for fields in reader:
        if not fields:
            continue
        if len(fields) < 3:
            message = (
                f"line {reader.line_num}: expected at least 3 fields (token, user, uid), found "
                f"{len(fields)}"
            )
            raise TokenFileError(message)
        token, name, uid = fields[:3]
        if not token or not name:
            message = f"line {reader.line_num}: the token and the user name must not be empty"
            raise TokenFileError(message)
        groups = tuple(fields[3].split(",")) if len(fields) > 3 and fields[3] else ()
        users[token] = authenticated(name, uid, groups, {})
    return users
