"""The served kinds: built-in ones and those of the stored CRDs."""

from collections.abc import Iterator

from devcluster.schema import crds
from devcluster.schema.kinds import BUILT_IN, Kind
from devcluster.storage.store import Event, Store


class Catalog:
    """Follows the CRDs in the store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._built_in = {(kind.group, kind.version, kind.plural): kind for kind in BUILT_IN}
        self._custom: dict[str, list[Kind]] = {}
        for revision in store.items(crds.KEY):
            self._serve(revision.object)
        store.subscribe(self._follow)

    def find(self, group: str, version: str, plural: str) -> Kind | None:
        """One kind."""
        built_in = self._built_in.get((group, version, plural))
        if built_in is not None:
            return built_in
        matching = (
            kind
            for kind in self
            if (kind.group, kind.version, kind.plural) == (group, version, plural)
        )
        return next(matching, None)

    def __iter__(self) -> Iterator[Kind]:
        """Every kind that is served."""
        yield from self._built_in.values()
        for kinds in self._custom.values():
            yield from kinds

    def by_key(self, key: tuple[str, str]) -> Kind | None:
        """A kind by where it is stored."""
        return next((kind for kind in self if kind.key == key), None)

    def by_kind(self, api_version: str, name: str) -> Kind | None:
        """A kind by what its objects call themselves."""
        return next(
            (kind for kind in self if (kind.api_version, kind.kind) == (api_version, name)), None
        )

    def _follow(self, event: Event) -> None:
        if event.key != crds.KEY:
            return
        if event.kind == "DELETED":
            for kind in self._custom.pop(event.new.object["metadata"]["name"], []):
                self._store.forget(kind.key)
        elif event.old is None or event.old.object["spec"] != event.new.object["spec"]:
            self._serve(event.new.object)

    def _serve(self, definition: crds.Document) -> None:
        kinds = list(crds.kinds_of(definition))
        for kind in kinds:
            self._store.begin(kind.key)
        self._custom[definition["metadata"]["name"]] = kinds
