import datetime as dt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from devcluster.access.authentication import Authenticator, TokenFileError, parse_token_file
from devcluster.access.tokens import ISSUER
from devcluster.access.users import User

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


class OneServiceAccount:
    """Knows a single signed token."""

    def verify_for(
        self, token: str, audiences: tuple[str, ...]
    ) -> tuple[User, tuple[str, ...]] | None:
        return (User("robot"), audiences) if token == "signed" else None


def authenticator(*lines: str) -> Authenticator:
    return Authenticator(parse_token_file(lines), OneServiceAccount())


def certificate(common_name: str | None, *organizations: str) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    attributes = [
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization)
        for organization in organizations
    ]
    if common_name is not None:
        attributes.append(x509.NameAttribute(NameOID.COMMON_NAME, common_name))
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name(attributes))
        .issuer_name(x509.Name(attributes))
    )
    builder = builder.public_key(key.public_key()).serial_number(1)
    builder = builder.not_valid_before(NOW).not_valid_after(NOW + dt.timedelta(days=1))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def test_a_request_without_credentials_is_anonymous():
    user = authenticator().authenticate(None, None)
    assert user == User("system:anonymous", groups=("system:unauthenticated",))


@pytest.mark.parametrize("header", ["Bearer secret", "bearer secret", "BEARER  secret "])
def test_a_known_token_is_its_user_however_the_scheme_is_spelled(header):
    user = authenticator('secret,alice,uid-1,"team-a,team-b"').authenticate(header, None)
    assert user == User("alice", "uid-1", ("team-a", "team-b", "system:authenticated"))


def test_an_unknown_token_is_refused_rather_than_anonymous():
    assert authenticator("secret,alice,").authenticate("Bearer other", None) is None


@pytest.mark.parametrize("header", ["Basic YTpi", "secret", "Bearer "])
def test_a_header_that_carries_no_bearer_token_counts_as_no_credentials(header):
    user = authenticator("secret,alice,").authenticate(header, None)
    assert user is not None
    assert user.name == "system:anonymous"


def test_a_token_that_is_not_in_the_file_may_be_a_service_accounts():
    user = authenticator("secret,alice,").authenticate("Bearer signed", None)
    assert user == User("robot")


def test_a_static_token_is_meant_for_the_api_server_and_nobody_else():
    tokens = authenticator("secret,alice,")
    alice = User("alice", groups=("system:authenticated",))
    assert tokens.review_token("secret", ()) == (alice, (ISSUER,))
    assert tokens.review_token("secret", ("vault", ISSUER)) == (alice, (ISSUER,))
    assert tokens.review_token("secret", ("vault",)) is None


def test_a_certificate_is_its_common_name_in_the_groups_of_its_organizations():
    user = authenticator().authenticate(None, certificate("carol", "system:masters", "ops"))
    assert user is not None
    assert (user.name, user.groups) == ("carol", ("system:masters", "ops", "system:authenticated"))
    (credential,) = user.extra["authentication.kubernetes.io/credential-id"]
    assert credential.startswith("X509SHA256=")


def test_a_certificate_goes_before_a_token():
    user = authenticator("secret,alice,").authenticate("Bearer secret", certificate("carol"))
    assert user is not None
    assert user.name == "carol"


def test_a_certificate_without_a_name_is_refused():
    assert authenticator().authenticate(None, certificate(None, "ops")) is None


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
