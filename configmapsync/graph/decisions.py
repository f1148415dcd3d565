"""Which claims the reconciler carries out: the decisions of `allocation.py`, kept right while syncs and namespaces change.

Syncs that can influence each other form a component: they claim a common place, or they follow each other on a way that may
be a loop. A change makes the components that it touches undecided, and `decide` decides each of them once, oldest sync
first. It works in small steps, so that the caller can let other work run in between, and it names the syncs whose refusals
have changed, so that the caller wakes exactly those. A sync without rivals and loops costs no memory here. Pure.
"""

from collections import Counter, OrderedDict, defaultdict
from collections.abc import Collection, Generator, Iterable, Iterator
from dataclasses import dataclass, field

from configmapsync.graph.allocation import Allocation, Decision, Node, Place
from configmapsync.graph.index import Graph
from configmapsync.graph.namespace_sets import NamespaceSet
from configmapsync.names import NamespacedName
from configmapsync.planning import Refusal
from configmapsync.reasons import Reason
from configmapsync.resource import ConfigMapSync
from configmapsync.selection import Namespace

STEPS_AT_ONCE = 500  # a few milliseconds
NAMESPACES_PER_STEP = 20  # that a sync is compared with
MAX_SCANS = 32  # of all open-ended syncs of one name; after that they all belong to the component

ALONE = (0, 0, None)  # the standing of a sync whose places no other sync claims

Keys = set[NamespacedName]
Moved = dict[int, defaultdict[str, NamespaceSet]]
Steps = Generator[int]  # yields the cost of each step


@dataclass(frozen=True, slots=True)
class Decided:
    """What the last steps achieved.

    Attributes:
        syncs: the syncs that are decided now.
        changed: those whose refusals differ from before, or that may now take a place over from another sync.
    """

    syncs: Keys = field(default_factory=set)
    changed: Keys = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Component:
    """The decisions about syncs that were decided together.

    Attributes:
        decisions: by sync.
        writers: the sync that was granted a place; only of places that several syncs claim.
        disputed: for each ConfigMap name, the namespaces where several syncs claim it.
    """

    decisions: dict[NamespacedName, Decision] = field(default_factory=dict)
    writers: dict[Place, NamespacedName] = field(default_factory=dict)
    disputed: defaultdict[str, NamespaceSet] = field(default_factory=lambda: defaultdict(int))

    def standing(self, node: Node) -> object:
        """Return what a plan of this sync depends on, but for the names of the writers."""
        decision = self.decisions[node.key]
        return (
            decision.granted & self.disputed[node.destination_name],
            decision.contested,
            decision.loop,
        )


class Grants:
    """The decisions about all living syncs."""

    def __init__(self, protected: frozenset[str]) -> None:
        self.graph = Graph(protected)
        self.steps = 0  # taken so far: the cost of all decisions
        self._components: dict[
            NamespacedName, _Component
        ] = {}  # no entry: the sync depends on no other
        self._standings: dict[NamespacedName, object] = {}
        self._undecided: OrderedDict[NamespacedName, None] = OrderedDict()
        self._touched: Keys = set()  # syncs that changed since the component under work was begun
        self._news = Decided()

    def put(self, sync: ConfigMapSync) -> None:
        """Add or replace a sync. A sync that is being deleted writes no more and counts as gone."""
        previous = self.graph.nodes.get(sync.key)
        if (
            previous is not None
            and not sync.deleting
            and previous == Node.of(sync, self.graph.protected)
        ):
            return  # its status or labels changed
        self._mark([sync.key])
        self.graph.put(sync)

    def remove(self, key: NamespacedName) -> None:
        """Forget a sync."""
        if key in self.graph.nodes:
            self._mark([key])
            self.graph.remove(key)

    def put_namespace(self, namespace: Namespace) -> None:
        """Add a namespace or take over its new labels."""
        # A number is reused only when no decision can hold it any more.
        self._mark(self.graph.put_namespace(namespace, reuse=not self._undecided))

    def remove_namespace(self, name: str) -> None:
        """Forget a namespace."""
        self._mark(self.graph.remove_namespace(name))

    def decided(self, key: NamespacedName) -> bool:
        """Return whether the refusals of a sync are known."""
        return key not in self._undecided

    def refusals(self, key: NamespacedName) -> dict[Place, Refusal]:
        """Return the destinations that a sync must not write because of other syncs, as decided last."""
        component, node = self._components.get(key), self.graph.nodes.get(key)
        if component is None or node is None:
            return {}
        decision = component.decisions[key]
        refused: dict[Place, Refusal] = {}
        for namespace in self.graph.numbers.names(decision.contested):
            place = Place(namespace, node.destination_name)
            message = f'ConfigMap "{place}" is written by the older ConfigMapSync "{component.writers.get(place)}"'
            refused[place] = Refusal(Reason.DESTINATION_CONTESTED, message)
        if decision.loop is not None:
            refused[decision.loop.place] = Refusal(Reason.LOOP_DETECTED, decision.loop.message)
        return refused

    def must_release(self, key: NamespacedName, place: Place) -> bool:
        """Return whether a sync, whose copy stands at `place`, has to leave it: it no longer claims it, or was refused it."""
        node = self.graph.nodes.get(key)
        if node is None:
            return False  # its spec cannot be read, or it is being deleted: its wishes are unknown
        if not self.graph.claims(node, place):
            return True
        component = self._components.get(key)
        return component is not None and not component.decisions[
            key
        ].granted & self.graph.numbers.single(place.namespace)

    def decide(self, first: Collection[NamespacedName] = ()) -> Iterator[Decided]:
        """Decide everything that is undecided, and pause every STEPS_AT_ONCE steps.

        The graph may change during a pause; what the change touches is decided again.

        Args:
            first: syncs whose components go before others; it may change during a pause.
        """
        steps = 0
        while self._undecided:
            asked = next((key for key in first if key in self._undecided), None)
            for cost in self._decide_component(asked or next(iter(self._undecided))):
                self.steps += cost
                steps += cost
                if steps >= STEPS_AT_ONCE:
                    yield self._take_news()
                    steps = 0
        yield self._take_news()

    def _take_news(self) -> Decided:
        news, self._news = self._news, Decided()
        return news

    def _mark(self, keys: Iterable[NamespacedName]) -> None:
        """Make the components of some syncs undecided."""
        components: dict[int, _Component] = {}
        for key in keys:
            self._touched.add(key)
            self._undecided[key] = None
            if (component := self._components.get(key)) is not None:
                components[id(component)] = component
        for component in components.values():
            self._undecided.update(dict.fromkeys(component.decisions))

    def _decide_component(self, key: NamespacedName) -> Steps:
        yield 1
        node = self.graph.nodes.get(key)
        if node is None:
            self._forget(key)
            return
        self._touched.clear()
        gathering = _Gathering(self.graph)
        yield from gathering.run(node)
        members = sorted(gathering.members.values(), key=lambda member: member.age)
        if len(members) == 1:
            self._install_alone(key)
        else:
            component = yield from self._decisions(members, gathering.reach)
            moved = yield from self._moved(members, component)
            yield from self._install(members, component, moved)
        if not self._touched.isdisjoint(gathering.members):
            # A member changed meanwhile: these decisions are as old as any cache, and all of them are made again.
            self._undecided.update(dict.fromkeys(gathering.members))

    def _decisions(
        self, members: list[Node], reach: dict[NamespacedName, NamespaceSet]
    ) -> Generator[int, None, _Component]:
        """Grant the claims of all members, oldest first."""
        component, numbers = _Component(), self.graph.numbers
        claimed: defaultdict[str, NamespaceSet] = defaultdict(int)
        sources: defaultdict[str, NamespaceSet] = defaultdict(int)
        for node in members:
            name = node.destination_name
            component.disputed[name] |= claimed[name] & reach[node.key]
            claimed[name] |= reach[node.key]
            sources[node.source.name] |= numbers.single(node.source.namespace)
            yield 1
        allocation = Allocation(numbers, sources)
        for node in members:
            decision = component.decisions[node.key] = allocation.grant(node, reach[node.key])
            yield 1
            for namespace in numbers.names(
                decision.granted & component.disputed[node.destination_name]
            ):
                component.writers[Place(namespace, node.destination_name)] = node.key
                yield 1
        return component

    def _moved(self, members: list[Node], component: _Component) -> Generator[int, None, Moved]:
        """Return, by the former component of a member and by ConfigMap name, where another sync than before was granted the copy."""
        previous = {
            id(known): known
            for node in members
            if (known := self._components.get(node.key)) is not None
        }
        moved: Moved = {}
        for known in previous.values():
            changed = moved[id(known)] = defaultdict(int)
            for place, writer in known.writers.items():
                if component.writers.get(place, writer) != writer:
                    changed[place.name] |= self.graph.numbers.single(place.namespace)
                yield 1
        return moved

    def _install(self, members: list[Node], component: _Component, moved: Moved) -> Steps:
        """Compare with the former decisions, then replace all of them in one step: no plan sees half of them."""
        standings: dict[NamespacedName, object] = {}
        changed: Keys = set()
        unmoved: dict[str, NamespaceSet] = {}
        for node in members:
            standing = standings[node.key] = component.standing(node)
            contested = component.decisions[node.key].contested
            others = moved.get(id(self._components.get(node.key)), unmoved).get(
                node.destination_name, 0
            )
            if standing != self._standings.get(node.key, ALONE) or contested & others:
                changed.add(node.key)
            yield 1
        left_behind = yield from self._left_behind(standings)
        self._components.update(left_behind)
        self._components.update(dict.fromkeys(standings, component))
        self._standings.update(standings)
        self._news.changed.update(changed)
        self._news.syncs.update(standings)
        for key in standings:
            self._undecided.pop(key, None)

    def _left_behind(
        self, keys: Collection[NamespacedName]
    ) -> Generator[int, None, dict[NamespacedName, _Component]]:
        """Return smaller components for syncs whose companions leave: a decision is kept by no sync but its own.

        A sync shares its component with all other claimants of its places, so a place and its writer stay together.
        """
        previous = {
            id(known): known for key in keys if (known := self._components.get(key)) is not None
        }
        replaced: dict[NamespacedName, _Component] = {}
        for known in previous.values():
            smaller = _Component(disputed=known.disputed)
            for key, decision in known.decisions.items():
                yield 1
                if key not in keys and self._components.get(key) is known:
                    smaller.decisions[key] = decision
                    replaced[key] = smaller
            for place, writer in known.writers.items():
                yield 1
                if writer in smaller.decisions:
                    smaller.writers[place] = writer
        return replaced

    def _install_alone(self, key: NamespacedName) -> None:
        self._components.pop(key, None)
        if self._standings.pop(key, ALONE) != ALONE:
            self._news.changed.add(key)
        self._news.syncs.add(key)
        self._undecided.pop(key, None)

    def _forget(self, key: NamespacedName) -> None:
        self._components.pop(key, None)
        self._standings.pop(key, None)
        self._news.syncs.add(key)
        self._undecided.pop(key, None)


class _Gathering:
    """Collects the component of a sync. To collect too much costs time and changes no decision."""

    def __init__(self, graph: Graph) -> None:
        self.members: dict[NamespacedName, Node] = {}
        self.reach: dict[NamespacedName, NamespaceSet] = {}
        self._graph = graph
        self._waiting: list[Node] = []
        self._explored: defaultdict[str, NamespaceSet] = defaultdict(
            int
        )  # all claimants there are members
        self._scans: Counter[str] = Counter()
        self._open_ended_reach: dict[str, NamespaceSet] = {}

    def run(self, start: Node) -> Steps:
        """Collect the component of `start`."""
        self._add(start)
        while self._waiting:
            node = self._waiting.pop()
            rivals = self._has_rivals(node)
            leads_on = self._has_readers(node) and (yield from self._is_copied_to(node.source))
            if len(self.members) == 1 and not rivals and not leads_on:
                return  # most syncs: its copies concern no other sync
            reach = self.reach[node.key] = yield from self._reach_of(node)
            yield 1
            if rivals:
                yield from self._add_claimants(node.destination_name, reach)
            if leads_on:
                yield from self._add_claimants(
                    node.source.name, self._graph.numbers.single(node.source.namespace)
                )
                yield from self._add_readers(node.destination_name, reach)

    def _add(self, node: Node) -> None:
        if node.key not in self.members:
            self.members[node.key] = node
            self._waiting.append(node)

    def _has_rivals(self, node: Node) -> bool:
        """Return whether other syncs may claim a place of `node`, judged by names."""
        name = node.destination_name
        if len(self._graph.open_ended.get(name, {})) > node.selector.open_ended:
            return True
        spaces = self._graph.exact.named(name)
        if node.selector.open_ended:
            return bool(spaces)
        return any(len(spaces.get(namespace, ())) > 1 for namespace in node.selector.exact_names)

    def _has_readers(self, node: Node) -> bool:
        """Return whether copies of `node` may be sources, judged by names."""
        spaces = self._graph.readers.named(node.destination_name)
        if node.selector.open_ended:
            return bool(spaces)
        return any(namespace in spaces for namespace in node.selector.exact_names)

    def _add_claimants(self, name: str, namespaces: NamespaceSet) -> Steps:
        """Add every sync that claims the ConfigMap of that name in one of the namespaces."""
        new = namespaces & ~self._explored[name]
        if not new:
            return
        self._explored[name] |= new
        for namespace in self._among(self._graph.exact.named(name), new):
            for node in list(self._graph.exact.named(name).get(namespace, {}).values()):
                yield 1
                if node.key not in self.members and (yield from self._reach_of(node)) & new:
                    self._add(node)
        self._scans[name] += 1
        for node in list(self._graph.open_ended.get(name, {}).values()):
            if node.key not in self.members:
                yield 1
                if (yield from self._reach_of(node)) & new or self._scans[name] > MAX_SCANS:
                    self._add(node)

    def _add_readers(self, name: str, namespaces: NamespaceSet) -> Steps:
        """Add the syncs that read one of these ConfigMaps and whose own copies are sources: the others end no loop."""
        for namespace in self._among(self._graph.readers.named(name), namespaces):
            for reader in list(self._graph.readers.named(name).get(namespace, {}).values()):
                yield 1
                if self._has_readers(reader):
                    self._add(reader)

    def _is_copied_to(self, place: Place) -> Generator[int, None, bool]:
        """Return whether any sync claims a place."""
        single = self._graph.numbers.single(place.namespace)
        for node in list(self._graph.exact.at(place).values()):
            if (yield from self._reach_of(node)) & single:
                return True
        if place.name not in self._open_ended_reach:
            reach = 0
            for node in list(self._graph.open_ended.get(place.name, {}).values()):
                yield 1
                reach |= yield from self._reach_of(node)
            self._open_ended_reach[place.name] = reach
        return bool(self._open_ended_reach[place.name] & single)

    def _reach_of(self, node: Node) -> Generator[int, None, NamespaceSet]:
        if not self._graph.knows_reach(node):
            self._graph.reach(node)
            yield 1 + self._graph.namespace_count // NAMESPACES_PER_STEP
        return self._graph.reach(node)

    def _among(self, spaces: Collection[str], namespaces: NamespaceSet) -> list[str]:
        """Return the namespaces of an index that are in a set, at the cost of the smaller of the two."""
        numbers = self._graph.numbers
        if len(spaces) < namespaces.bit_count():
            return [name for name in spaces if numbers.single(name) & namespaces]
        return [name for name in numbers.names(namespaces) if name in spaces]
