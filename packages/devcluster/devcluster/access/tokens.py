"""Sign and verify service account tokens: JSON Web Tokens with ES256.

`authentication.py` calls `verify_for` for tokens that are not in the static list,
`token_requests.py` calls `issue`. The service account and the bound object must still
exist with the same UID, so that deleting either revokes the token.
"""

import base64
import hashlib
import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

from devcluster.access.users import (
    CREDENTIAL_ID,
    User,
    authenticated,
    service_account_groups,
    service_account_name,
)

ISSUER = "https://kubernetes.default.svc.cluster.local"
KUBERNETES_CLAIM = "kubernetes.io"
COORDINATE_BYTES = 32  # of one P-256 number; an ES256 signature is two of them, one after the other

# Returns the UID of an object by resource, namespace ("" for cluster-scoped kinds) and name;
# None if the object does not exist.
UidLookup = Callable[[str, str, str], str | None]


@dataclass(frozen=True, slots=True)
class Bound:
    """An object whose deletion revokes a token, or the service account itself."""

    name: str
    uid: str


class SigningKey:
    """The server's own P-256 key for tokens."""

    def __init__(self, private: ec.EllipticCurvePrivateKey) -> None:
        self._private = private
        public = private.public_key()
        spki = public.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self.key_id = _base64url(hashlib.sha256(spki).digest())

    @classmethod
    def generate(cls) -> "SigningKey":
        """Make a new key: tokens of an earlier one are worthless from now on."""
        return cls(ec.generate_private_key(ec.SECP256R1()))

    @classmethod
    def from_pem(cls, pem: bytes) -> "SigningKey":
        """Read a key that `to_pem` wrote, so that tokens survive a restart.

        Raises:
            ValueError: not an unencrypted P-256 private key.
        """
        key = serialization.load_pem_private_key(pem, password=None)
        if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1):
            return cls(key)
        raise ValueError("the key that signs service account tokens must be an ECDSA P-256 key")

    def to_pem(self) -> bytes:
        """Write the private key, unencrypted."""
        return self._private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )

    def sign(self, message: bytes) -> bytes:
        """Return a signature as tokens carry it: both numbers at full length, without ASN.1."""
        r, s = decode_dss_signature(self._private.sign(message, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(COORDINATE_BYTES, "big") + s.to_bytes(COORDINATE_BYTES, "big")

    def verifies(self, message: bytes, signature: bytes) -> bool:
        """Return whether this key made the signature."""
        if len(signature) != 2 * COORDINATE_BYTES:
            return False
        r, s = (
            int.from_bytes(part, "big")
            for part in (signature[:COORDINATE_BYTES], signature[COORDINATE_BYTES:])
        )
        try:
            self._private.public_key().verify(
                encode_dss_signature(r, s), message, ec.ECDSA(hashes.SHA256())
            )
        except InvalidSignature:
            return False
        return True


class ServiceAccountTokens:
    """Issues and verifies the tokens of service accounts."""

    def __init__(self, key: SigningKey, uid_of: UidLookup, now: Callable[[], datetime]) -> None:
        self._key = key
        self._uid_of = uid_of
        self._now = now

    def issue(
        self,
        namespace: str,
        service_account: Bound,
        *,
        lifetime: timedelta,
        audiences: tuple[str, ...] = (ISSUER,),
        bound_to: Mapping[str, Bound] | None = None,
    ) -> tuple[str, datetime]:
        """Make a token, and say when it expires.

        Args:
            namespace: of the service account.
            service_account: its name and UID.
            lifetime: from now on; whole seconds.
            audiences: of the token; the API server accepts only its own (ISSUER).
            bound_to: maps a kind in lower case ("secret" or "pod") to the object whose
                deletion revokes the token.
        """
        issued = self._now().replace(microsecond=0)
        expires = issued + lifetime
        owners = {**(bound_to or {}), "serviceaccount": service_account}
        claims = {
            "aud": list(audiences),
            "exp": int(expires.timestamp()),
            "iat": int(issued.timestamp()),
            "iss": ISSUER,
            "jti": str(uuid.uuid4()),
            KUBERNETES_CLAIM: {
                "namespace": namespace,
                **{
                    kind: {"name": owner.name, "uid": owner.uid}
                    for kind, owner in sorted(owners.items())
                },
            },
            "nbf": int(issued.timestamp()),
            "sub": service_account_name(namespace, service_account.name),
        }
        return self._encode(claims), expires

    def verify_for(
        self, token: str, audiences: tuple[str, ...]
    ) -> tuple[User, tuple[str, ...]] | None:
        """Return a token's account and those of `audiences` it has; None if it has none."""
        claims = self._decode(token)
        if claims is None or not self._valid_now(claims):
            return None
        meant_for = claims.get("aud")
        accepted = tuple(
            audience
            for audience in audiences
            if isinstance(meant_for, list) and audience in meant_for
        )
        user = self._living_user(claims)
        return (user, accepted) if user and accepted else None

    def _valid_now(self, claims: dict[str, object]) -> bool:
        not_before, expires = claims.get("nbf"), claims.get("exp")
        if (
            claims.get("iss") != ISSUER
            or not isinstance(not_before, int)
            or not isinstance(expires, int)
        ):
            return False
        return not_before <= self._now().timestamp() < expires

    def _living_user(self, claims: dict[str, object]) -> User | None:
        owners = claims.get(KUBERNETES_CLAIM)
        if not isinstance(owners, dict):
            return None
        namespace = owners["namespace"]
        for kind, owner in owners.items():
            if kind == "namespace":
                continue
            if self._uid_of(f"{kind}s", namespace, owner["name"]) != owner["uid"]:
                return None
        account = owners["serviceaccount"]
        name = service_account_name(namespace, account["name"])
        extra = {CREDENTIAL_ID: (f"JTI={claims['jti']}",)}
        return authenticated(name, account["uid"], service_account_groups(namespace), extra)

    def _encode(self, claims: dict[str, object]) -> str:
        header = {"alg": "ES256", "kid": self._key.key_id}
        message = ".".join(
            _base64url(json.dumps(part, separators=(",", ":")).encode())
            for part in (header, claims)
        )
        return f"{message}.{_base64url(self._key.sign(message.encode()))}"

    def _decode(self, token: str) -> dict[str, object] | None:
        message, _, signature = token.rpartition(".")
        try:
            if not self._key.verifies(message.encode(), _from_base64url(signature)):
                return None
            claims = json.loads(_from_base64url(message.partition(".")[2]))
        except ValueError:  # not base64, not UTF-8 or not JSON: no token of ours
            return None
        return claims if isinstance(claims, dict) else None


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _from_base64url(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
