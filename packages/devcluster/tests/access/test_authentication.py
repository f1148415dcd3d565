import pytest

from devcluster.access.authentication import Authenticator, TokenFileError, parse_token_file
from devcluster.access.tokens import ISSUER
from devcluster.access.users import User


class OneServiceAccount:
    """Knows a single signed token."""

    def verify_for(
        self, token: str, audiences: tuple[str, ...]
    ) -> tuple[User, tuple[str, ...]] | None:
        return (User("robot"), audiences) if token == "signed" else None


def authenticator(*lines: str) -> Authenticator:
    return Authenticator(parse_token_file(lines), OneServiceAccount())


def test_a_request_without_credentials_is_anonymous():
    user = authenticator().authenticate(None)
    assert user == User("system:anonymous", groups=("system:unauthenticated",))


@pytest.mark.parametrize("header", ["Bearer secret", "bearer secret", "BEARER  secret "])
def test_a_known_token_is_its_user_however_the_scheme_is_spelled(header):
    user = authenticator('secret,alice,uid-1,"team-a,team-b"').authenticate(header)
    assert user == User("alice", "uid-1", ("team-a", "team-b", "system:authenticated"))


def test_an_unknown_token_is_refused_rather_than_anonymous():
    assert authenticator("secret,alice,").authenticate("Bearer other") is None


@pytest.mark.parametrize("header", ["Basic YTpi", "secret", "Bearer "])
def test_a_header_that_carries_no_bearer_token_counts_as_no_credentials(header):
    user = authenticator("secret,alice,").authenticate(header)
    assert user is not None
    assert user.name == "system:anonymous"


def test_a_token_that_is_not_in_the_file_may_be_a_service_accounts():
    user = authenticator("secret,alice,").authenticate("Bearer signed")
    assert user == User("robot")


def test_a_static_token_is_meant_for_the_api_server_and_nobody_else():
    tokens = authenticator("secret,alice,")
    alice = User("alice", groups=("system:authenticated",))
    assert tokens.review_token("secret", ()) == (alice, (ISSUER,))
    assert tokens.review_token("secret", ("vault", ISSUER)) == (alice, (ISSUER,))
    assert tokens.review_token("secret", ("vault",)) is None


def test_a_token_file_reads_like_kube_apiservers():
    users = parse_token_file(
        ["a,admin,,system:masters", "", 'b, bob, uid-b, "x,y"', "c,carol,uid-c"]
    )
    assert users["a"] == User("admin", "", ("system:masters", "system:authenticated"))
    assert users["b"] == User("bob", "uid-b", ("x", "y", "system:authenticated"))
    assert users["c"] == User("carol", "uid-c", ("system:authenticated",))


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        (["a,admin"], "line 1: expected at least 3 fields"),
        (["a,admin,", ",bob,"], "line 2: the token and the user name"),
        (["a,,uid"], "line 1: the token and the user name"),
    ],
)
def test_a_broken_token_file_says_which_line_and_why(lines, problem):
    with pytest.raises(TokenFileError, match=problem):
        parse_token_file(lines)
