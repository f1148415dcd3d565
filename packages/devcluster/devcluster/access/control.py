"""Join authentication, authorization and admission to the store of one cluster.

The server builds `Access` once. The rules are in `gate.py`, `rbac.py`, `reviews.py`,
`tokens.py` and `admission/`.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from devcluster.access.audit import AuditLog
from devcluster.access.authentication import Authenticator
from devcluster.access.default_roles import default_objects
from devcluster.access.gate import Gate
from devcluster.access.rbac import RBAC_GROUP, Authorizer
from devcluster.access.review_resources import Reviewer
from devcluster.access.tokens import ServiceAccountTokens, SigningKey
from devcluster.access.users import User
from devcluster.admission.chain import AdmissionChain
from devcluster.admission.endpoint import WebhookEndpoints
from devcluster.storage.store import Object, Store

WEBHOOK_GROUP = "admissionregistration.k8s.io"


class StoredRbac:
    """Roles and bindings as the authorizer asks for them."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, resource: str, namespace: str, name: str) -> Object | None:
        """Return one role."""
        revision = self._store.get((RBAC_GROUP, resource), namespace, name)
        return None if revision is None else revision.object

    def list(self, resource: str, namespace: str) -> Iterable[Object]:
        """Return the bindings of a namespace, or of the cluster."""
        return [
            revision.object for revision in self._store.items((RBAC_GROUP, resource), namespace)
        ]


class Access:
    """Everything that stands between a request and the store."""

    def __init__(
        self,
        store: Store,
        static_tokens: Mapping[str, User],
        key: SigningKey,
        endpoints: WebhookEndpoints,
        now: Callable[[], datetime],
        audit: AuditLog,
    ) -> None:
        self._store = store
        self.tokens = ServiceAccountTokens(key, self.uid_of, now)
        authenticator = Authenticator(static_tokens, self.tokens)
        self.authorizer = Authorizer(StoredRbac(store))
        self.gate = Gate(authenticator, self.authorizer, audit)
        self.reviewer = Reviewer(self.authorizer, authenticator, now)
        self.admission = AdmissionChain(
            lambda: self._configurations("mutatingwebhookconfigurations"),
            lambda: self._configurations("validatingwebhookconfigurations"),
            endpoints,
        )

    def uid_of(self, resource: str, namespace: str, name: str) -> str | None:
        """Return the UID of an object of the core group; tokens depend on it."""
        revision = self._store.get(("", resource), namespace, name)
        return None if revision is None else str(revision.object["metadata"]["uid"])

    def missing_defaults(self) -> list[dict[str, Any]]:
        """Return the default roles and bindings that the store does not have."""
        return [document for document in default_objects() if not self._is_stored(document)]

    def _is_stored(self, document: Mapping[str, Any]) -> bool:
        resource = f"{document['kind'].lower()}s"
        return self._store.get((RBAC_GROUP, resource), "", document["metadata"]["name"]) is not None

    def _configurations(self, resource: str) -> list[Object]:
        return [revision.object for revision in self._store.items((WEBHOOK_GROUP, resource))]
