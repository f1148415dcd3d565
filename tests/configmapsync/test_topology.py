"""Loops and contested destinations, held against a slow and obvious reference on random worlds."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise, product

from hypothesis import given, settings
from hypothesis import strategies as st

from configmapsync.claims import Node
from configmapsync.defaulting import with_defaults
from configmapsync.names import NamespacedName
from configmapsync.reasons import Reason
from configmapsync.resource import ConfigMapSync, parse
from configmapsync.selection import Namespace, select
from configmapsync.topology import MOST_LOOKS, Graph

SPACES = ("a", "b", "c", "team-x")
NAMES = ("cfg", "other")
PROTECTED = frozenset({"c"})
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)

Edge = tuple[NamespacedName, NamespacedName]


def sync(name: str, source: str, *destinations: str, minutes: int | None = 0, **spec: object) -> ConfigMapSync:
    """A sync from `namespace/name` to namespaces, made some minutes after the beginning."""
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


def graph(*syncs: ConfigMapSync, namespaces: tuple[Namespace, ...] = tuple(map(Namespace, SPACES))) -> Graph:
    made = Graph(PROTECTED)
    for namespace in namespaces:
        made.put_namespace(namespace)
    for one in syncs:
        made.put(one)
    return made


def spelled(cycle: tuple[NamespacedName, ...] | None) -> str:
    return " -> ".join(map(str, cycle or ()))


def test_a_loop_of_two_is_spelled_out() -> None:
    assert (
        spelled(graph(sync("one", "a/cfg", "b")).cycle_through(sync("two", "b/cfg", "a"))) == "b/cfg -> a/cfg -> b/cfg"
    )


def test_a_loop_through_three_with_a_rename_on_the_way() -> None:
    known = graph(sync("one", "a/cfg", "b", destinationConfigMapName="other"), sync("two", "b/other", "c"))

    closing = sync("three", "c/other", "a", destinationConfigMapName="cfg")

    assert spelled(known.cycle_through(closing)) == "c/other -> a/cfg -> b/other -> c/other"


def test_a_chain_is_no_loop() -> None:
    known = graph(sync("one", "a/cfg", "b"), sync("two", "b/cfg", "c"))

    assert known.cycle_through(sync("three", "c/cfg", "team-x")) is None


def test_an_update_is_judged_without_what_it_replaces() -> None:
    known = graph(sync("one", "a/cfg", "b"), sync("two", "b/cfg", "a"))

    assert known.cycle_through(sync("two", "b/cfg", "c")) is None


def test_a_loop_comes_about_by_a_label_and_goes_with_it() -> None:
    selector = {"matchLabels": {"wants": "it"}}
    older = sync("older", "a/cfg", minutes=0, destinationNamespaceSelector=selector)
    younger = sync("younger", "b/cfg", "a", minutes=1)
    known = graph(older, younger)

    assert known.refusals(younger) == {}
    known.put_namespace(Namespace("b", {"wants": "it"}))
    assert {refusal.reason for refusal in known.refusals(younger).values()} == {Reason.LOOP_DETECTED}
    assert known.refusals(older) == {}
    known.put_namespace(Namespace("b"))
    assert known.refusals(younger) == {}


def test_the_older_sync_keeps_a_contested_destination() -> None:
    older, younger = sync("z", "a/cfg", "b", minutes=0), sync("a", "c/cfg", "b", "team-*", minutes=1)
    known = graph(older, younger)

    assert known.refusals(older) == {}
    assert list(known.refusals(younger)) == [NamespacedName("b", "cfg")]
    assert known.yields(younger.key, NamespacedName("b", "cfg"))
    assert not known.yields(older.key, NamespacedName("b", "cfg"))


def test_a_sync_that_is_deleted_contests_nothing() -> None:
    older, younger = sync("z", "a/cfg", "b", minutes=0), sync("a", "c/cfg", "b", minutes=1)
    known = graph(older, younger)

    known.remove(older.key)

    assert known.refusals(younger) == {}
    assert list(known.contested(younger)) == []


def test_a_namespace_that_is_not_there_yet_is_contested_by_those_who_would_reach_it() -> None:
    named, everywhere = sync("named", "a/cfg", "soon", minutes=0), sync("everywhere", "b/cfg", "*", minutes=1)
    known = graph(named, everywhere)
    soon = NamespacedName("soon", "cfg")

    assert list(known.contested(named)) == [(soon, everywhere.key)]
    assert (soon, named.key) in list(known.contested(everywhere))
    assert list(known.refusals(everywhere)) == [soon]


def test_a_claim_that_is_refused_stands_in_nobodys_way() -> None:
    oldest = sync("oldest", "b/cfg", "a", minutes=0)
    cut = sync("cut", "a/cfg", "b", minutes=1)
    youngest = sync("youngest", "c/cfg", "b", minutes=2)
    known = graph(oldest, cut, youngest)
    place = NamespacedName("b", "cfg")

    assert {refusal.reason for refusal in known.refusals(cut).values()} == {Reason.LOOP_DETECTED}
    assert known.refusals(youngest) == {}
    assert known.yields(cut.key, place)
    assert list(graph(oldest, cut).contested(youngest)) == []

    known.remove(oldest.key)

    assert known.refusals(cut) == {}
    assert list(known.refusals(youngest)) == [place]
    assert list(graph(cut).contested(youngest)) == [(place, cut.key)]


def test_a_label_that_keeps_one_sync_out_lets_the_next_one_in() -> None:
    older = sync("older", "b/cfg", minutes=0, destinationNamespaceSelector={"matchLabels": {"wants": "it"}})
    cut = sync("cut", "a/cfg", "b", minutes=1)
    youngest = sync("youngest", "c/cfg", "b", minutes=2)
    known = graph(older, cut, youngest)

    assert list(known.refusals(youngest)) == [NamespacedName("b", "cfg")]
    known.put_namespace(Namespace("a", {"wants": "it"}))
    assert known.refusals(youngest) == {}
    known.put_namespace(Namespace("a"))
    assert list(known.refusals(youngest)) == [NamespacedName("b", "cfg")]


def test_a_loop_over_a_step_that_nobody_takes_is_none() -> None:
    first = sync("first", "a/cfg", "b", minutes=0)
    kept_out = sync("kept-out", "c/cfg", "b", minutes=1)
    closing = sync("closing", "b/cfg", "c", minutes=2)

    assert graph(first, kept_out, closing).refusals(closing) == {}
    assert list(graph(kept_out, closing).refusals(closing)) == [NamespacedName("c", "cfg")]


def test_a_sync_without_rivals_and_loops_depends_on_nobody() -> None:
    alone, chained = sync("alone", "a/cfg", "b", "team-*"), sync("chained", "b/cfg", "c", minutes=1)

    assert graph(alone, chained).entangled_with(alone) == frozenset()


def crowd(size: int, *destinations: str) -> list[ConfigMapSync]:
    """Many syncs whose copies have the same name."""
    return [
        sync(f"s{number:04}", f"a/from-{number}", *destinations, minutes=number, destinationConfigMapName="cfg")
        for number in range(size)
    ]


def test_many_syncs_that_want_the_same_places_are_told_apart_without_a_look_at_each() -> None:
    many = crowd(200, "space-*")
    known = graph(*many, namespaces=tuple(Namespace(f"space-{number}") for number in range(200)))

    refused = [len(known.refusals(one)) for one in many]

    assert refused == [0] + [200] * 199
    assert known._claims.looks <= 2 * 200 * 200


def test_a_webhook_waits_for_no_more_than_some_looks_and_the_reconciler_is_told_everything() -> None:
    many = [*crowd(300, "no-such-*"), sync("last", "a/cfg", "space-199", minutes=301)]
    known = graph(*many, namespaces=tuple(Namespace(f"space-{number:03}") for number in range(200)))
    new = sync("new", "b/cfg", "space-*", minutes=302)

    assert list(known.contested(new)) == []
    assert known._claims.looks <= MOST_LOOKS + 301
    known.put(new)
    assert list(known.refusals(new)) == [NamespacedName("space-199", "cfg")]


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

    syncs = [one(f"s{number}", draw(st.integers(0, 5))) for number in range(draw(st.integers(0, 5)))]
    candidate = one("candidate", draw(st.none() | st.integers(0, 5)))
    labels = st.sampled_from(({}, {"l": "x"}, {"apps.nishaf.info/sync": "disabled"}))
    namespaces = {name: Namespace(name, draw(labels)) for name in SPACES}
    return syncs, candidate, namespaces


def edges(one: ConfigMapSync, namespaces: dict[str, Namespace]) -> set[Edge]:
    """Every copy a sync makes."""
    selected = select(one, namespaces, PROTECTED).selected
    return {(one.source, NamespacedName(name, one.destination_name)) for name in selected}


def granted(syncs: list[ConfigMapSync], namespaces: dict[str, Namespace]) -> dict[str, set[Edge]]:
    """What each sync may carry out: decided from the oldest to the youngest."""
    taken: set[Edge] = set()
    mine: dict[str, set[Edge]] = {}
    for one in sorted(syncs, key=lambda one: Node.of(one, PROTECTED).age):
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
def test_loops_agree_with_the_obvious_reference(
    world: tuple[list[ConfigMapSync], ConfigMapSync, dict[str, Namespace]],
) -> None:
    syncs, candidate, namespaces = world
    known = graph(*syncs, namespaces=tuple(namespaces.values()))
    others = {edge for one in syncs for edge in edges(one, namespaces)}
    closes = any(candidate.source in reachable(after, others) for _, after in edges(candidate, namespaces))

    cycle = known.cycle_through(candidate)

    assert (cycle is not None) == closes
    if cycle is not None:
        steps = set(pairwise(cycle))
        assert cycle[0] == cycle[-1] == candidate.source
        assert steps <= others | edges(candidate, namespaces)


@settings(max_examples=150, deadline=None)
@given(worlds())
def test_contested_destinations_agree_with_the_obvious_reference(
    world: tuple[list[ConfigMapSync], ConfigMapSync, dict[str, Namespace]],
) -> None:
    syncs, candidate, namespaces = world
    known = graph(*syncs, namespaces=tuple(namespaces.values()))
    wanted = {after for _, after in edges(candidate, namespaces)}
    writers = {after: name for name, carried in granted(syncs, namespaces).items() for _, after in carried}

    told = {destination: other.name for destination, other in known.contested(candidate)}

    assert told == {destination: writers[destination] for destination in wanted & writers.keys()}


@settings(max_examples=150, deadline=None)
@given(worlds())
def test_what_is_carried_out_after_all_refusals_has_no_loop_and_one_writer_each(
    world: tuple[list[ConfigMapSync], ConfigMapSync, dict[str, Namespace]],
) -> None:
    syncs, candidate, namespaces = world
    everyone = [*syncs, candidate]
    known = graph(*everyone, namespaces=tuple(namespaces.values()))

    carried_out = [
        (one, edge) for one in everyone for edge in edges(one, namespaces) if edge[1] not in known.refusals(one)
    ]

    destinations = [after for _, (_, after) in carried_out]
    assert len(destinations) == len(set(destinations))
    all_edges = {edge for _, edge in carried_out}
    for before, after in all_edges:
        assert before not in reachable(after, all_edges)


@settings(max_examples=300, deadline=None)
@given(worlds())
def test_refusals_agree_with_the_obvious_reference_from_the_oldest_to_the_youngest(
    world: tuple[list[ConfigMapSync], ConfigMapSync, dict[str, Namespace]],
) -> None:
    syncs, candidate, namespaces = world
    everyone = [*syncs, candidate]
    known = graph(*everyone, namespaces=tuple(namespaces.values()))
    carried_out = granted(everyone, namespaces)

    for one in everyone:
        mine = {after for _, after in edges(one, namespaces)}
        refused = known.refusals(one).keys() & mine
        assert mine - refused == {after for _, after in carried_out[one.metadata.name]}
        for place in mine:
            assert known.yields(one.key, place) == (place in refused)


@settings(max_examples=150, deadline=None)
@given(worlds())
def test_whose_refusals_change_with_a_sync_was_entangled_with_it_or_with_somebody(
    world: tuple[list[ConfigMapSync], ConfigMapSync, dict[str, Namespace]],
) -> None:
    """So that waking those finds everyone: the new sync wakes who is entangled with it, and all who were entangled before."""
    syncs, candidate, namespaces = world
    before = graph(*syncs, namespaces=tuple(namespaces.values()))
    after = graph(*syncs, candidate, namespaces=tuple(namespaces.values()))
    woken = after.entangled_with(candidate) | {one.key for one in syncs if before.entangled_with(one)}

    for one in syncs:
        if one.key not in woken:
            assert before.refusals(one) == after.refusals(one)


def test_an_update_is_judged_as_if_its_former_self_had_never_kept_anybody_out() -> None:
    former = sync("edited", "b/cfg", "a", minutes=0)
    kept_out = sync("kept-out", "a/cfg", "b", minutes=1)
    edited = sync("edited", "c/cfg", "b", minutes=0)

    assert list(graph(former, kept_out).contested(edited)) == [(NamespacedName("b", "cfg"), kept_out.key)]


def test_an_update_is_judged_as_if_its_former_self_had_never_let_anybody_in() -> None:
    former = sync("edited", "c/cfg", "b", minutes=0)
    kept_out = sync("kept-out", "a/cfg", "b", minutes=1)
    let_in = sync("let-in", "b/cfg", "a", minutes=2)
    edited = sync("edited", "c/cfg", "a", minutes=0)

    assert list(graph(former, kept_out, let_in).contested(edited)) == []


@settings(max_examples=150, deadline=None)
@given(worlds())
def test_an_update_is_contested_by_what_would_be_without_its_former_self(
    world: tuple[list[ConfigMapSync], ConfigMapSync, dict[str, Namespace]],
) -> None:
    syncs, candidate, namespaces = world
    without = graph(*syncs, namespaces=tuple(namespaces.values()))

    for former in (candidate, sync("candidate", "a/cfg", "*", minutes=0)):
        known = graph(*syncs, former, namespaces=tuple(namespaces.values()))
        assert list(known.contested(candidate)) == list(without.contested(candidate))


@settings(max_examples=60, deadline=None)
@given(worlds())
def test_a_graph_that_was_changed_answers_like_one_made_anew(
    world: tuple[list[ConfigMapSync], ConfigMapSync, dict[str, Namespace]],
) -> None:
    """Asked all the time, so that whatever it remembers of earlier answers would show."""
    syncs, candidate, namespaces = world
    living = {one.key: one for one in (candidate, *syncs)}
    spaces = {name: Namespace(name) for name in SPACES}
    changed = graph(*living.values(), namespaces=tuple(spaces.values()))

    def holds() -> None:
        anew = graph(*living.values(), namespaces=tuple(spaces.values()))
        for one, question in product((candidate, *syncs), ("cycle_through", "refusals", "entangled_with")):
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
        changed.put(one)
        holds()
    for name in SPACES[:2]:
        del spaces[name]
        changed.remove_namespace(name)
        holds()
