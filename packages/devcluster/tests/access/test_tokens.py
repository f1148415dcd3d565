import base64
import datetime as dt
import json

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from hypothesis import given, settings
from hypothesis import strategies as st

from devcluster.access.tokens import ISSUER, Bound, ServiceAccountTokens, SigningKey
from devcluster.access.users import User

START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
ROBOT = Bound("robot", "uid-1")


class World:
    """A clock that can be turned, and the objects that tokens refer to."""

    def __init__(self) -> None:
        self.now = START
        self.uids = {
            ("serviceaccounts", "team-a", "robot"): "uid-1",
            ("secrets", "team-a", "s"): "uid-s",
        }
        self.key = SigningKey.generate()
        self.tokens = self.restarted(self.key)

    def restarted(self, key: SigningKey) -> ServiceAccountTokens:
        return ServiceAccountTokens(key, lambda *key: self.uids.get(key), lambda: self.now)

    def verify(self, token: str, tokens: ServiceAccountTokens | None = None) -> User | None:
        found = (tokens or self.tokens).verify_for(token, (ISSUER,))
        return found[0] if found else None

    def token(self, **options) -> str:
        return self.tokens.issue("team-a", ROBOT, lifetime=HOUR, **options)[0]


@pytest.fixture
def world() -> World:
    return World()


def claims_of(token: str) -> dict:
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


def test_a_fresh_token_is_its_service_account_with_the_groups_of_all_of_them(world):
    user = world.verify(world.token())
    assert user is not None
    assert user.name == "system:serviceaccount:team-a:robot"
    assert user.uid == "uid-1"
    assert user.groups == (
        "system:serviceaccounts",
        "system:serviceaccounts:team-a",
        "system:authenticated",
    )
    assert user.extra["authentication.kubernetes.io/credential-id"][0].startswith("JTI=")


def test_a_token_says_what_a_real_one_says(world):
    claims = claims_of(world.token(bound_to={"secret": Bound("s", "uid-s")}))
    assert claims.pop("jti")
    assert claims == {
        "aud": [ISSUER],
        "iss": ISSUER,
        "sub": "system:serviceaccount:team-a:robot",
        "iat": int(START.timestamp()),
        "nbf": int(START.timestamp()),
        "exp": int((START + HOUR).timestamp()),
        "kubernetes.io": {
            "namespace": "team-a",
            "secret": {"name": "s", "uid": "uid-s"},
            "serviceaccount": {"name": "robot", "uid": "uid-1"},
        },
    }


def test_a_token_expires_to_the_second(world):
    token, expires = world.tokens.issue("team-a", ROBOT, lifetime=HOUR)
    assert expires == START + HOUR
    world.now = expires - dt.timedelta(seconds=1)
    assert world.verify(token) is not None
    world.now = expires
    assert world.verify(token) is None


def test_a_token_dies_with_its_service_account_and_does_not_come_back_with_its_successor(world):
    token = world.token()
    world.uids["serviceaccounts", "team-a", "robot"] = "uid-2"
    assert world.verify(token) is None
    del world.uids["serviceaccounts", "team-a", "robot"]
    assert world.verify(token) is None


def test_a_token_dies_with_the_object_it_is_bound_to(world):
    token = world.token(bound_to={"secret": Bound("s", "uid-s")})
    assert world.verify(token) is not None
    del world.uids["secrets", "team-a", "s"]
    assert world.verify(token) is None


def test_a_token_for_somebody_else_is_not_accepted_by_the_server(world):
    token = world.token(audiences=("vault", "mail"))
    assert world.verify(token) is None
    found = world.tokens.verify_for(token, ("mail", "web"))
    assert found is not None
    assert found[1] == ("mail",)


def test_a_token_survives_a_restart_with_the_same_key_and_no_other(world):
    token = world.token()
    assert world.verify(token, world.restarted(SigningKey.from_pem(world.key.to_pem()))) is not None
    assert world.verify(token, world.restarted(SigningKey.generate())) is None


def test_a_key_of_another_kind_is_refused():
    pem = ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with pytest.raises(ValueError, match="P-256"):
        SigningKey.from_pem(pem)


@settings(deadline=None, max_examples=60)
@given(position=st.integers(0, 400), replacement=st.sampled_from("Aa0-_.="))
def test_no_changed_token_is_accepted(position, replacement):
    world = WORLD
    token = world.token()
    position %= len(token)
    changed = token[:position] + replacement + token[position + 1 :]
    same = changed.rstrip("=") == token or (
        position == len(token) - 1
    )  # the last character has spare bits
    assert same or world.verify(changed) is None


@settings(deadline=None, max_examples=60)
@given(st.text(max_size=60))
def test_whatever_text_is_sent_as_a_token_is_refused_quietly(text):
    assert WORLD.verify(text) is None


WORLD = World()  # one key for all examples: making keys is slow
