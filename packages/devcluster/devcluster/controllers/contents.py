"""Create the default service account and the CA ConfigMap in every namespace."""

from collections.abc import Iterable

from devcluster.controllers.actor import Actor
from devcluster.schema.kinds import Kind
from devcluster.storage.store import Event, Object

NAMESPACES = ("", "namespaces")
SERVICE_ACCOUNTS = ("", "serviceaccounts")
CONFIGMAPS = ("", "configmaps")
DEFAULT_ACCOUNT = "default"
ROOT_CA = "kube-root-ca.crt"
DESCRIPTION = (
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal "
    "endpoints such as the "
    "internal service IP or kubernetes.default.svc. No other usage is guaranteed across "
    "distributions of Kubernetes "
    "clusters."
)


class NamespaceContents:
    """Works on names of namespaces."""

    def __init__(self, actor: Actor, authority: str) -> None:
        self._actor = actor
        self._root_ca: Object = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": ROOT_CA,
                "annotations": {"kubernetes.io/description": DESCRIPTION},
            },
            "data": {"ca.crt": authority},
        }

    def begin(self) -> Iterable[str]:
        """Every namespace: the certificate of an earlier run is out of date."""
        return [
            revision.object["metadata"]["name"] for revision in self._actor.store.items(NAMESPACES)
        ]

    def wakes(self, event: Event) -> Iterable[str]:
        """Return the namespaces whose contents an event may have changed."""
        namespace, name = event.new.place
        if event.key == NAMESPACES:
            return [name] if event.kind == "ADDED" else []
        ours = (event.key, name) in ((SERVICE_ACCOUNTS, DEFAULT_ACCOUNT), (CONFIGMAPS, ROOT_CA))
        return [namespace] if ours and event.kind != "ADDED" else []

    async def settle(self, item: object) -> None:
        """Create what is missing and mend what was changed."""
        namespace = str(item)
        home = self._actor.store.get(NAMESPACES, "", namespace)
        if home is None or home.object["metadata"].get("deletionTimestamp"):
            return
        account = {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": DEFAULT_ACCOUNT},
        }
        await self._put(SERVICE_ACCOUNTS, namespace, account)
        await self._put(CONFIGMAPS, namespace, self._root_ca)

    async def _put(self, key: tuple[str, str], namespace: str, wanted: Object) -> None:
        kind: Kind | None = self._actor.catalog.by_key(key)
        if kind is None:
            return
        found = self._actor.store.get(key, namespace, wanted["metadata"]["name"])
        if found is None:
            await self._actor.create(kind, namespace, wanted)
        elif found.object.get("data") != wanted.get("data"):
            await self._actor.update(kind, found.object, {**found.object, "data": wanted["data"]})
