"""Keep the decisions of `allocation.py` right while syncs and namespaces change.

`reconciler/known/caches.py` reports the changes. `reconciler/known/claims.py` has them
decided in small steps, and `dryrun/` at once. One step must not take the event loop for
more than a few milliseconds. A sync that is not affected must not count as changed.
"""

from collections import OrderedDict, defaultdict
from collections.abc import Collection, Generator, Iterable, Iterator
from dataclasses import dataclass, field

from configmapsync import reason_messages
from configmapsync.graph.allocation import Allocation, Decision, Node
from configmapsync.graph.components import ComponentSearch, Steps
from configmapsync.graph.index import Graph
from configmapsync.graph.namespace_sets import NamespaceSet
from configmapsync.names import NamespacedName
from configmapsync.reasons import Outcome, Reason
from configmapsync.resource import ConfigMapSync
from configmapsync.selection import Namespace, Selector

STEPS_AT_ONCE = 500  # a few milliseconds

ALONE = (0, 0, None)  # the fingerprint of a sync that shares no destination with another sync

Keys = set[NamespacedName]


@dataclass(frozen=True, slots=True)
class Progress:
    """The syncs that the steps since the last pause decided.

    Attributes:
        syncs: all of them.
        changed: those whose refusals differ from before, or that may now take over a copy of
            another sync.
    """

    syncs: Keys = field(default_factory=set)
    changed: Keys = field(default_factory=set)


@dataclass(eq=False, slots=True)
class _Component:
    """The decisions about syncs that were decided together.

    Attributes:
        decisions: by sync.
        writers: the sync that may write a ConfigMap, for ConfigMaps that several syncs claim.
        disputed: for each ConfigMap name, the namespaces where several syncs claim it.
    """

    decisions: dict[NamespacedName, Decision] = field(default_factory=dict)
    writers: dict[NamespacedName, NamespacedName] = field(default_factory=dict)
    disputed: defaultdict[str, NamespaceSet] = field(default_factory=lambda: defaultdict(int))

    def fingerprint(self, node: Node) -> object:
        """Return everything that the plan of a sync depends on, except the names of writers."""
        decision = self.decisions[node.key]
        return (
            decision.granted & self.disputed[node.destination_name],
            decision.contested,
            decision.loop,
        )


# Where the writer changed, by previous component and ConfigMap name.
Moved = defaultdict[_Component | None, defaultdict[str, NamespaceSet]]


class Decisions:
    """The decisions about all living syncs.

    Syncs that can affect each other form a component: they claim a common ConfigMap, or one reads
    what another writes. A change makes the components of the changed syncs undecided, and `decide`
    decides each of them again. For a sync that no other sync can affect, only its node is kept.
    """

    def __init__(self) -> None:
        self.graph = Graph()
        # A sync without an entry depends on no other sync.
        self._components: dict[NamespacedName, _Component] = {}
        self._fingerprints: dict[NamespacedName, object] = {}
        self._undecided: OrderedDict[NamespacedName, None] = OrderedDict()
        # Syncs that changed since the work on the current component began.
        self._touched: Keys = set()
        self._progress = Progress()

    def put(self, sync: ConfigMapSync, selector: Selector) -> None:
        """Add or replace a sync, or remove it if it is being deleted: it writes no more copies.

        The components of the sync become undecided, unless its claims and source are the same.
        """
        previous = self.graph.nodes.get(sync.key)
        if not sync.deleting and previous == Node.of(sync, selector):
            return
        self._mark([sync.key])
        self.graph.put(sync, selector)

    def remove(self, key: NamespacedName) -> None:
        """Remove a sync."""
        if key in self.graph.nodes:
            self._mark([key])
            self.graph.remove(key)

    def put_namespace(self, namespace: Namespace) -> None:
        """Add a namespace or update its labels."""
        # A number is reused only if no decision can still contain it.
        self._mark(self.graph.put_namespace(namespace, reuse=not self._undecided))

    def remove_namespace(self, name: str) -> None:
        """Remove a namespace."""
        self._mark(self.graph.remove_namespace(name))

    def decided(self, key: NamespacedName) -> bool:
        """Return whether the refusals of a sync are up to date."""
        return key not in self._undecided

    def refusals(self, key: NamespacedName) -> dict[NamespacedName, Outcome]:
        """Return the destinations that other syncs forbid, as last decided (see `decided`)."""
        component, node = self._components.get(key), self.graph.nodes.get(key)
        if component is None or node is None:
            return {}
        decision = component.decisions[key]
        refused: dict[NamespacedName, Outcome] = {}
        for namespace in self.graph.numbers.names(decision.contested):
            destination = NamespacedName(namespace, node.destination_name)
            writer = component.writers.get(destination)
            message = reason_messages.written_by_older(destination, writer)
            refused[destination] = Outcome(namespace, Reason.DESTINATION_CONTESTED, message)
        if (loop := decision.loop) is not None:
            refused[NamespacedName(loop.namespace, node.destination_name)] = loop
        return refused

    def must_release(self, key: NamespacedName, copy: NamespacedName) -> bool:
        """Return whether a sync no longer claims one of its copies, or is refused it."""
        node = self.graph.nodes.get(key)
        if node is None:
            return False  # its spec is invalid, or it is being deleted: its claims are unknown
        if not self.graph.claims(node, copy):
            return True
        component = self._components.get(key)
        if component is None:
            return False
        return not component.decisions[key].granted & self.graph.numbers.single(copy.namespace)

    def decide(self, first: Collection[NamespacedName] = ()) -> Iterator[Progress]:
        """Decide everything that is undecided, and yield after every STEPS_AT_ONCE steps.

        The graph may change while the generator is paused; the changed syncs are decided again.

        Args:
            first: syncs whose components are decided first; it may change during a pause.
        """
        steps = 0
        while self._undecided:
            asked = next((key for key in first if key in self._undecided), None)
            for cost in self._decide_component(asked or next(iter(self._undecided))):
                steps += cost
                if steps >= STEPS_AT_ONCE:
                    yield self._take_progress()
                    steps = 0
        yield self._take_progress()

    def _take_progress(self) -> Progress:
        news, self._progress = self._progress, Progress()
        return news

    def _mark(self, keys: Iterable[NamespacedName]) -> None:
        """Mark the components of these syncs as undecided."""
        marked = dict.fromkeys(keys)
        self._touched.update(marked)
        self._undecided.update(marked)
        for component in self._components_of(marked):
            self._undecided.update(dict.fromkeys(component.decisions))

    def _components_of(self, keys: Iterable[NamespacedName]) -> Iterable[_Component]:
        """Return the components of syncs, each once."""
        return dict.fromkeys(filter(None, map(self._components.get, keys)))

    def _decide_component(self, key: NamespacedName) -> Steps:
        yield 1
        node = self.graph.nodes.get(key)
        if node is None:
            self._forget(key)
            return
        self._touched.clear()
        search = ComponentSearch(self.graph)
        yield from search.run(node)
        members = sorted(search.members.values(), key=lambda member: member.age)
        if len(members) == 1:
            if self._forget(key) != ALONE:
                self._progress.changed.add(key)
        else:
            component = yield from self._decisions(members, search.reach)
            moved = yield from self._moved(members, component)
            yield from self._install(members, component, moved)
        if not self._touched.isdisjoint(search.members):
            # A member changed during the work, so the component is decided again.
            self._undecided.update(dict.fromkeys(search.members))

    def _decisions(
        self, members: list[Node], reach: dict[NamespacedName, NamespaceSet]
    ) -> Generator[int, None, _Component]:
        """Decide about the claims of all members, oldest first."""
        component, numbers = _Component(), self.graph.numbers
        claimed: defaultdict[str, NamespaceSet] = defaultdict(int)
        for node in members:
            name = node.destination_name
            component.disputed[name] |= claimed[name] & reach[node.key]
            claimed[name] |= reach[node.key]
            yield 1
        allocation = Allocation(numbers, members)
        for node in members:
            decision = component.decisions[node.key] = allocation.grant(node, reach[node.key])
            yield 1
            for namespace in numbers.names(
                decision.granted & component.disputed[node.destination_name]
            ):
                component.writers[NamespacedName(namespace, node.destination_name)] = node.key
                yield 1
        return component

    def _moved(self, members: list[Node], component: _Component) -> Generator[int, None, Moved]:
        """Return where the writer changed."""
        moved: Moved = defaultdict(lambda: defaultdict(int))
        for known in self._components_of(node.key for node in members):
            for key, writer in known.writers.items():
                if component.writers.get(key, writer) != writer:
                    moved[known][key.name] |= self.graph.numbers.single(key.namespace)
                yield 1
        return moved

    def _install(self, members: list[Node], component: _Component, moved: Moved) -> Steps:
        """Replace all decisions of a component in one step, so that no plan sees half of them."""
        fingerprints: dict[NamespacedName, object] = {}
        changed: Keys = set()
        for node in members:
            fingerprint = fingerprints[node.key] = component.fingerprint(node)
            contested = component.decisions[node.key].contested
            others = moved[self._components.get(node.key)][node.destination_name]
            if fingerprint != self._fingerprints.get(node.key, ALONE) or contested & others:
                changed.add(node.key)
            yield 1
        left_behind = yield from self._left_behind(fingerprints)
        self._components.update(left_behind)
        self._components.update(dict.fromkeys(fingerprints, component))
        self._fingerprints.update(fingerprints)
        self._progress.changed.update(changed)
        self._progress.syncs.update(fingerprints)
        for key in fingerprints:
            self._undecided.pop(key, None)

    def _left_behind(
        self, keys: Collection[NamespacedName]
    ) -> Generator[int, None, dict[NamespacedName, _Component]]:
        """Return smaller components for the syncs that remain when `keys` leave their component.

        They keep the former writers, even those that left: `_moved` compares with them.
        """
        replaced: dict[NamespacedName, _Component] = {}
        for known in self._components_of(keys):
            smaller = _Component(writers=known.writers, disputed=known.disputed)
            for key, decision in known.decisions.items():
                yield 1
                if key not in keys and self._components.get(key) is known:
                    smaller.decisions[key] = decision
                    replaced[key] = smaller
        return replaced

    def _forget(self, key: NamespacedName) -> object:
        """Decide that a sync depends on no other sync; return its previous fingerprint."""
        self._components.pop(key, None)
        self._progress.syncs.add(key)
        self._undecided.pop(key, None)
        return self._fingerprints.pop(key, ALONE)
