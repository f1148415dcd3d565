"""Check loops and contested destinations against a simple reference on random syncs."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise, product

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configmapsync.defaulting import with_defaults
from configmapsync.graph.allocation import Node
from configmapsync.graph.components import Steps
from configmapsync.graph.decisions import Decisions
from configmapsync.graph.index import Graph
from configmapsync.graph.namespace_sets import NamespaceSet
from configmapsync.graph.review import MAX_LOOKUPS, ReviewSearch
from configmapsync.names import NamespacedName
from configmapsync.parsing import parse
from configmapsync.reasons import Outcome, Reason
from configmapsync.resource import ConfigMapSync
from configmapsync.selection import Namespace, Selector
from tests.configmapsync.objects import select

SPACES = ("a", "b", "c", "team-x")
NAMES = ("cfg", "other")
PROTECTED = frozenset({"c"})
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)

Edge = tuple[NamespacedName, NamespacedName]


def sync(
    name: str, source: str, *destinations: str, minutes: int | None = 0, **spec: object
) -> ConfigMapSync:
    """Return a sync from `namespace/name` to namespaces, created after some minutes."""
    namespace, configmap = source.split("/")
    metadata: dict[str, object] = {"name": name, "namespace": "home", "uid": f"uid-{name}"}
    if minutes is not None:
        metadata["creationTimestamp"] = (BEGIN + timedelta(minutes=minutes)).isoformat()
    document = {
        "metadata": metadata,
        "spec": {
            "sourceNamespace": namespace,
            "configMapName": configmap,
            "destinationNamespaces": list(destinations),
            **spec,
        },
    }
    return with_defaults(parse(document))


class CountingGraph(Graph):
    """A graph that counts how often it compares a sync with a namespace."""

    def __init__(self) -> None:
        super().__init__()
        self.comparisons = 0

    def reach(self, node: Node) -> NamespaceSet:
        if not self.knows_reach(node):
            self.comparisons += len(self.namespaces)
        return super().reach(node)

    def reaches(self, node: Node, name: str) -> bool:
        self.comparisons += 1
        return super().reaches(node, name)


class Known(Decisions):
    """Decisions that are made before each query, with their cost."""

    graph: CountingGraph

    def __init__(self) -> None:
        super().__init__()
        self.graph = CountingGraph()
        self.steps = 0  # of all decisions
        self.lookups = 0  # of all reviews

    def _decide_component(self, key: NamespacedName) -> Steps:
        for cost in super()._decide_component(key):
            self.steps += cost
            yield cost

    def add(self, one: ConfigMapSync) -> None:
        self.put(one, Selector.of(one, PROTECTED))

    def settle(self) -> set[NamespacedName]:
        """Decide everything; return the syncs whose refusals changed."""
        return set().union(*(news.changed for news in self.decide()))

    def refusals_of(self, one: ConfigMapSync) -> dict[NamespacedName, Outcome]:
        self.settle()
        return self.refusals(one.key)

    def contested(self, one: ConfigMapSync) -> list[tuple[NamespacedName, NamespacedName]]:
        search = ReviewSearch(self.graph, one, Selector.of(one, PROTECTED))
        contested = search.contested()
        self.lookups += search.lookups
        return contested

    def cycle_through(self, one: ConfigMapSync) -> tuple[NamespacedName, ...] | None:
        search = ReviewSearch(self.graph, one, Selector.of(one, PROTECTED))
        cycle = search.cycle()
        self.lookups += search.lookups
        return cycle


def graph(
    *syncs: ConfigMapSync, namespaces: tuple[Namespace, ...] = tuple(map(Namespace, SPACES))
) -> Known:
    made = Known()
    for namespace in namespaces:
        made.put_namespace(namespace)
    for one in syncs:
        made.add(one)
    return made


def spelled(cycle: tuple[NamespacedName, ...] | None) -> str:
    return " -> ".join(map(str, cycle or ()))


def test_a_loop_of_two_is_spelled_out() -> None:
    assert (
        spelled(graph(sync("one", "a/cfg", "b")).cycle_through(sync("two", "b/cfg", "a")))
        == "b/cfg -> a/cfg -> b/cfg"
    )


def test_a_loop_through_three_with_a_rename_on_the_way() -> None:
    known = graph(
        sync("one", "a/cfg", "b", destinationConfigMapName="other"), sync("two", "b/other", "c")
    )

    closing = sync("three", "c/other", "a", destinationConfigMapName="cfg")

    assert spelled(known.cycle_through(closing)) == "c/other -> a/cfg -> b/other -> c/other"


def test_a_chain_is_no_loop() -> None:
    known = graph(sync("one", "a/cfg", "b"), sync("two", "b/cfg", "c"))

    assert known.cycle_through(sync("three", "c/cfg", "team-x")) is None


def test_an_update_is_checked_without_its_previous_version() -> None:
    known = graph(sync("one", "a/cfg", "b"), sync("two", "b/cfg", "a"))

    assert known.cycle_through(sync("two", "b/cfg", "c")) is None


def test_a_label_makes_a_loop_and_its_removal_ends_it() -> None:
    selector = {"matchLabels": {"wants": "it"}}
    older = sync("older", "a/cfg", minutes=0, destinationNamespaceSelector=selector)
    younger = sync("younger", "b/cfg", "a", minutes=1)
    known = graph(older, younger)

    assert known.refusals_of(younger) == {}
    known.put_namespace(Namespace("b", {"wants": "it"}))
    assert {refusal.reason for refusal in known.refusals_of(younger).values()} == {
        Reason.LOOP_DETECTED
    }
    assert known.refusals_of(older) == {}
    known.put_namespace(Namespace("b"))
    assert known.refusals_of(younger) == {}


def test_the_older_sync_keeps_a_contested_destination() -> None:
    older, younger = (
        sync("z", "a/cfg", "b", minutes=0),
        sync("a", "c/cfg", "b", "team-*", minutes=1),
    )
    known = graph(older, younger)

    assert known.refusals_of(older) == {}
    assert list(known.refusals_of(younger)) == [NamespacedName("b", "cfg")]
    assert known.must_release(younger.key, NamespacedName("b", "cfg"))
    assert not known.must_release(older.key, NamespacedName("b", "cfg"))


def test_a_sync_that_is_deleted_contests_nothing() -> None:
    older, younger = sync("z", "a/cfg", "b", minutes=0), sync("a", "c/cfg", "b", minutes=1)
    known = graph(older, younger)

    known.remove(older.key)

    assert known.refusals_of(younger) == {}
    assert list(known.contested(younger)) == []


def test_a_future_namespace_is_contested_by_the_syncs_that_would_select_it() -> None:
    named, everywhere = (
        sync("named", "a/cfg", "soon", minutes=0),
        sync("everywhere", "b/cfg", "*", minutes=1),
    )
    known = graph(named, everywhere)
    soon = NamespacedName("soon", "cfg")

    assert list(known.contested(named)) == [(soon, everywhere.key)]
    assert (soon, named.key) in list(known.contested(everywhere))
    assert known.refusals_of(everywhere) == {}
    known.put_namespace(Namespace("soon"))
    assert list(known.refusals_of(everywhere)) == [soon]


def test_a_refused_claim_blocks_no_other_sync() -> None:
    oldest = sync("oldest", "b/cfg", "a", minutes=0)
    cut = sync("cut", "a/cfg", "b", minutes=1)
    youngest = sync("youngest", "c/cfg", "b", minutes=2)
    known = graph(oldest, cut, youngest)
    place = NamespacedName("b", "cfg")

    assert {refusal.reason for refusal in known.refusals_of(cut).values()} == {Reason.LOOP_DETECTED}
    assert known.refusals_of(youngest) == {}
    assert known.must_release(cut.key, place)
    assert list(graph(oldest, cut).contested(youngest)) == []

    known.remove(oldest.key)

    assert known.refusals_of(cut) == {}
    assert list(known.refusals_of(youngest)) == [place]
    assert list(graph(cut).contested(youngest)) == [(place, cut.key)]


def test_a_label_that_keeps_one_sync_out_lets_the_next_one_in() -> None:
    older = sync(
        "older", "b/cfg", minutes=0, destinationNamespaceSelector={"matchLabels": {"wants": "it"}}
    )
    cut = sync("cut", "a/cfg", "b", minutes=1)
    youngest = sync("youngest", "c/cfg", "b", minutes=2)
    known = graph(older, cut, youngest)

    assert list(known.refusals_of(youngest)) == [NamespacedName("b", "cfg")]
    known.put_namespace(Namespace("a", {"wants": "it"}))
    assert known.refusals_of(youngest) == {}
    known.put_namespace(Namespace("a"))
    assert list(known.refusals_of(youngest)) == [NamespacedName("b", "cfg")]


def test_a_loop_over_a_refused_step_is_no_loop() -> None:
    first = sync("first", "a/cfg", "b", minutes=0)
    kept_out = sync("kept-out", "c/cfg", "b", minutes=1)
    closing = sync("closing", "b/cfg", "c", minutes=2)

    assert graph(first, kept_out, closing).refusals_of(closing) == {}
    assert list(graph(kept_out, closing).refusals_of(closing)) == [NamespacedName("c", "cfg")]


def crowd(size: int, *destinations: str) -> list[ConfigMapSync]:
    """Return many syncs whose copies have the same name."""
    return [
        sync(
            f"s{number:04}",
            f"a/from-{number}",
            *destinations,
            minutes=number,
            destinationConfigMapName="cfg",
        )
        for number in range(size)
    ]


def test_many_syncs_with_the_same_destinations_are_decided_with_few_lookups() -> None:
    many = crowd(200, "space-*")
    known = graph(*many, namespaces=tuple(Namespace(f"space-{number}") for number in range(200)))

    refused = [len(known.refusals_of(one)) for one in many]

    assert refused == [0] + [200] * 199
    assert known.graph.comparisons == 200 * 200


def test_the_webhook_makes_few_lookups_and_the_reconciler_decides_everything() -> None:
    many = [*crowd(300, "no-such-*"), sync("last", "a/cfg", "space-199", minutes=301)]
    known = graph(*many, namespaces=tuple(Namespace(f"space-{number:03}") for number in range(200)))
    new = sync("new", "b/cfg", "space-*", minutes=302)

    assert list(known.contested(new)) == []
    assert 0 < known.lookups <= MAX_LOOKUPS + 301
    known.add(new)
    assert list(known.refusals_of(new)) == [NamespacedName("space-199", "cfg")]


@st.composite
def worlds(draw: st.DrawFn) -> tuple[list[ConfigMapSync], ConfigMapSync, dict[str, Namespace]]:
    patterns = st.sampled_from((*SPACES, "*", "team-*"))
    places = st.builds("{}/{}".format, st.sampled_from(SPACES), st.sampled_from(NAMES))

    def one(name: str, minutes: int | None) -> ConfigMapSync:
        more: dict[str, object] = {"destinationConfigMapName": draw(st.sampled_from(NAMES))}
        if draw(st.booleans()):
            more["destinationNamespaceSelector"] = {"matchLabels": {"l": "x"}}
        if draw(st.sampled_from((False, False, True))):
            more["excludedNamespaces"] = [draw(st.sampled_from(SPACES))]
        destinations = draw(st.lists(patterns, min_size=1, max_size=2))
        return sync(name, draw(places), *destinations, minutes=minutes, **more)

    syncs = [
        one(f"s{number}", draw(st.integers(0, 5))) for number in range(draw(st.integers(0, 5)))
    ]
    candidate = one("candidate", draw(st.none() | st.integers(0, 5)))
    labels = st.sampled_from(({}, {"l": "x"}, {"apps.nishaf.info/sync": "disabled"}))
    namespaces = {name: Namespace(name, draw(labels)) for name in SPACES}
    return syncs, candidate, namespaces


def edges(one: ConfigMapSync, namespaces: dict[str, Namespace]) -> set[Edge]:
    """Return all copies of a sync."""
    selected = select(Selector.of(one, PROTECTED), namespaces).selected
    return {(one.source, NamespacedName(name, one.destination_name)) for name in selected}


def granted(syncs: list[ConfigMapSync], namespaces: dict[str, Namespace]) -> dict[str, set[Edge]]:
    """Return the granted claims, decided from the oldest to the youngest sync."""
    taken: set[Edge] = set()
    mine: dict[str, set[Edge]] = {}
    for one in sorted(syncs, key=lambda one: Node.of(one, Selector.of(one, PROTECTED)).age):
        mine[one.metadata.name] = {
            (before, after)
            for before, after in edges(one, namespaces)
            if after not in {place for _, place in taken} and before not in reachable(after, taken)
        }
        taken |= mine[one.metadata.name]
    return mine


def reachable(start: NamespacedName, all_edges: set[Edge]) -> set[NamespacedName]:
    found = {start}
    for _ in range(len(all_edges) + 1):
        found |= {after for before, after in all_edges if before in found}
    return found


@settings(max_examples=150, deadline=None)
@given(worlds())
def test_loops_agree_with_the_reference(
    world: tuple[list[ConfigMapSync], ConfigMapSync, dict[str, Namespace]],
) -> None:
    syncs, candidate, namespaces = world
    known = graph(*syncs, namespaces=tuple(namespaces.values()))
    others = {edge for one in syncs for edge in edges(one, namespaces)}
    closes = any(
        candidate.source in reachable(after, others) for _, after in edges(candidate, namespaces)
    )

    cycle = known.cycle_through(candidate)

    assert (cycle is not None) == closes
    if cycle is not None:
        steps = set(pairwise(cycle))
        assert cycle[0] == cycle[-1] == candidate.source
        assert steps <= others | edges(candidate, namespaces)


@settings(max_examples=150, deadline=None)
@given(worlds())
def test_contested_destinations_agree_with_the_reference(
    world: tuple[list[ConfigMapSync], ConfigMapSync, dict[str, Namespace]],
) -> None:
    syncs, candidate, namespaces = world
    known = graph(*syncs, namespaces=tuple(namespaces.values()))
    wanted = {after for _, after in edges(candidate, namespaces)}
    writers = {
        after: name for name, carried in granted(syncs, namespaces).items() for _, after in carried
    }

    told = {destination: other.name for destination, other in known.contested(candidate)}

    assert told == {destination: writers[destination] for destination in wanted & writers.keys()}


@settings(max_examples=150, deadline=None)
@given(worlds())
def test_granted_claims_have_no_loop_and_one_writer_for_each_configmap(
    world: tuple[list[ConfigMapSync], ConfigMapSync, dict[str, Namespace]],
) -> None:
    syncs, candidate, namespaces = world
    everyone = [*syncs, candidate]
    known = graph(*everyone, namespaces=tuple(namespaces.values()))

    carried_out = [
        (one, edge)
        for one in everyone
        for edge in edges(one, namespaces)
        if edge[1] not in known.refusals_of(one)
    ]

    destinations = [after for _, (_, after) in carried_out]
    assert len(destinations) == len(set(destinations))
    all_edges = {edge for _, edge in carried_out}
    for before, after in all_edges:
        assert before not in reachable(after, all_edges)


@settings(max_examples=300, deadline=None)
@given(worlds())
def test_refusals_agree_with_the_reference_from_the_oldest_to_the_youngest_sync(
    world: tuple[list[ConfigMapSync], ConfigMapSync, dict[str, Namespace]],
) -> None:
    syncs, candidate, namespaces = world
    everyone = [*syncs, candidate]
    known = graph(*everyone, namespaces=tuple(namespaces.values()))
    carried_out = granted(everyone, namespaces)

    for one in everyone:
        mine = {after for _, after in edges(one, namespaces)}
        refused = known.refusals_of(one).keys() & mine
        assert mine - refused == {after for _, after in carried_out[one.metadata.name]}
        for place in mine:
            assert known.must_release(one.key, place) == (place in refused)


@settings(max_examples=200, deadline=None)
@given(worlds())
def test_exactly_the_syncs_whose_refusals_change_are_named(
    world: tuple[list[ConfigMapSync], ConfigMapSync, dict[str, Namespace]],
) -> None:
    syncs, candidate, namespaces = world
    known = graph(*syncs, namespaces=tuple(namespaces.values()))
    known.settle()

    def names_exactly_those_that(change: Callable[[], None]) -> None:
        before = {one.key: known.refusals(one.key) for one in syncs}
        writers = claimed_by_several(known, syncs)
        change()
        changed = known.settle()
        for one in syncs:
            differs = before[one.key] != known.refusals(one.key)
            takes_over = {
                place for place, key in claimed_by_several(known, syncs).items() if key == one.key
            }
            took_over_before = {place for place, key in writers.items() if key == one.key}
            assert (one.key in changed) == (differs or takes_over != took_over_before)

    names_exactly_those_that(lambda: known.add(candidate))
    for name in SPACES:
        names_exactly_those_that(partial(known.put_namespace, Namespace(name, {"l": "x"})))
    edited = msgspec.structs.replace(candidate, spec=syncs[-1].spec) if syncs else candidate
    names_exactly_those_that(lambda: known.add(edited))
    names_exactly_those_that(lambda: known.add(candidate))
    names_exactly_those_that(lambda: known.remove(candidate.key))
    names_exactly_those_that(lambda: known.remove_namespace("a"))


@pytest.mark.parametrize("edited", [False, True])
def test_a_sync_is_named_when_its_writer_leaves_a_component_that_splits(edited: bool) -> None:
    writer = sync("writer", "a/other", "b", destinationConfigMapName="cfg", minutes=0)
    others = [
        sync("first", "b/cfg", "a", destinationConfigMapName="other", minutes=1),
        sync("second", "b/cfg", "a", destinationConfigMapName="other", minutes=2),
        sync("next-writer", "c/cfg", "b", minutes=3),
        sync("kept-out", "c/cfg", "b", minutes=4),
    ]
    known = graph(writer, *others)
    known.settle()

    if edited:
        known.add(sync("writer", "a/other", "team-x", minutes=0))
    else:
        known.remove(writer.key)

    assert others[-1].key in known.settle()
    (refusal,) = known.refusals(others[-1].key).values()
    assert "next-writer" in refusal.message


def claimed_by_several(
    known: Known, syncs: list[ConfigMapSync]
) -> dict[NamespacedName, NamespacedName]:
    """Return the writer of each ConfigMap that several syncs claim."""
    living = list(known.graph.nodes.values())
    places = [
        NamespacedName(namespace, name) for namespace in known.graph.namespaces for name in NAMES
    ]
    claims = {
        place: [node.key for node in living if known.graph.claims(node, place)] for place in places
    }
    return {
        place: key
        for place, keys in claims.items()
        if len(keys) > 1
        for key in keys
        if not known.must_release(key, place)
    }


def test_an_update_is_checked_as_if_its_previous_version_had_refused_no_sync() -> None:
    previous = sync("edited", "b/cfg", "a", minutes=0)
    kept_out = sync("kept-out", "a/cfg", "b", minutes=1)
    edited = sync("edited", "c/cfg", "b", minutes=0)

    assert list(graph(previous, kept_out).contested(edited)) == [
        (NamespacedName("b", "cfg"), kept_out.key)
    ]


def test_an_update_is_checked_as_if_its_previous_version_had_admitted_no_sync() -> None:
    previous = sync("edited", "c/cfg", "b", minutes=0)
    kept_out = sync("kept-out", "a/cfg", "b", minutes=1)
    let_in = sync("let-in", "b/cfg", "a", minutes=2)
    edited = sync("edited", "c/cfg", "a", minutes=0)

    assert list(graph(previous, kept_out, let_in).contested(edited)) == []


@settings(max_examples=150, deadline=None)
@given(worlds())
def test_an_update_is_contested_as_without_its_previous_version(
    world: tuple[list[ConfigMapSync], ConfigMapSync, dict[str, Namespace]],
) -> None:
    syncs, candidate, namespaces = world
    without = graph(*syncs, namespaces=tuple(namespaces.values()))

    for previous in (candidate, sync("candidate", "a/cfg", "*", minutes=0)):
        known = graph(*syncs, previous, namespaces=tuple(namespaces.values()))
        assert list(known.contested(candidate)) == list(without.contested(candidate))


@settings(max_examples=60, deadline=None)
@given(worlds())
def test_a_changed_graph_answers_like_a_new_one(
    world: tuple[list[ConfigMapSync], ConfigMapSync, dict[str, Namespace]],
) -> None:
    """Query after each change, so that outdated answers of earlier queries would show."""
    syncs, candidate, namespaces = world
    living = {one.key: one for one in (candidate, *syncs)}
    spaces = {name: Namespace(name) for name in SPACES}
    changed = graph(*living.values(), namespaces=tuple(spaces.values()))

    def holds() -> None:
        anew = graph(*living.values(), namespaces=tuple(spaces.values()))
        for one, question in product((candidate, *syncs), ("cycle_through", "refusals_of")):
            assert getattr(changed, question)(one) == getattr(anew, question)(one)
        assert list(changed.contested(candidate)) == list(anew.contested(candidate))

    holds()
    for namespace in namespaces.values():
        spaces[namespace.name] = namespace
        changed.put_namespace(namespace)
        holds()
    for one in syncs:
        del living[one.key]
        changed.remove(one.key)
        holds()
    for one in reversed(syncs):
        living[one.key] = one
        changed.add(one)
        holds()
    for name in SPACES[:2]:
        del spaces[name]
        changed.remove_namespace(name)
        holds()


@settings(max_examples=100, deadline=None)
@given(worlds(), st.data())
def test_changes_between_any_two_steps_lead_to_the_same_decisions(
    world: tuple[list[ConfigMapSync], ConfigMapSync, dict[str, Namespace]], data: st.DataObject
) -> None:
    syncs, candidate, namespaces = world
    everyone = {one.key: one for one in (*syncs, candidate)}
    living, spaces = dict(everyone), dict(namespaces)
    known = graph(*living.values(), namespaces=tuple(spaces.values()))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("configmapsync.graph.decisions.STEPS_AT_ONCE", 1)
        changes = data.draw(
            st.lists(
                st.tuples(st.integers(0, 6), st.sampled_from((*SPACES, *everyone))), max_size=12
            )
        )
        deciding = known.decide()
        for steps, changed in changes:
            for _ in range(steps):
                if next(deciding, None) is None:
                    deciding = known.decide()
            match changed:
                case str() if changed in spaces:
                    del spaces[changed]
                    known.remove_namespace(changed)
                case str():
                    spaces[changed] = Namespace(changed, {"l": "x"})
                    known.put_namespace(spaces[changed])
                case _ if changed in living:
                    del living[changed]
                    known.remove(changed)
                case _:
                    living[changed] = everyone[changed]
                    known.add(everyone[changed])
        for _ in deciding:
            pass

    known.settle()
    for key, component in known._components.items():
        assert key in living
        assert all(known._components.get(other) is component for other in component.decisions), (
            "memory is linear"
        )
    anew = graph(*living.values(), namespaces=tuple(spaces.values()))
    anew.settle()
    for key in everyone:
        assert known.decided(key)
        assert known.refusals(key) == anew.refusals(key)
        for place in (NamespacedName(namespace, name) for namespace in spaces for name in NAMES):
            assert known.must_release(key, place) == anew.must_release(key, place)
