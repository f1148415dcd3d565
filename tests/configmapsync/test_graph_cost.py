"""Count the steps and lookups of decisions for the largest graphs of tenants."""

from configmapsync.graph.decisions import STEPS_AT_ONCE
from configmapsync.graph.review import MAX_LOOKUPS
from configmapsync.names import NamespacedName
from configmapsync.reasons import Reason
from configmapsync.resource import ConfigMapSync
from configmapsync.selection import Namespace
from tests.configmapsync.test_graph import Known, crowd, graph, sync


def spaces(count: int) -> tuple[Namespace, ...]:
    return tuple(Namespace(f"n{number}") for number in range(count))


def ring(size: int) -> list[ConfigMapSync]:
    return [
        sync(f"s{step:05}", f"n{step}/cfg", f"n{(step + 1) % size}", minutes=step)
        for step in range(size)
    ]


def nested_loops(size: int) -> list[ConfigMapSync]:
    """Return a chain in which each sync also writes all earlier ConfigMaps; the oldest is last."""
    return [
        sync(
            f"s{step:05}",
            f"n{step}/cfg",
            *(f"n{back}" for back in range(step)),
            f"n{step + 1}",
            minutes=size - step,
        )
        for step in range(size)
    ]


def settled(*syncs: ConfigMapSync, namespaces: int) -> Known:
    known = graph(*syncs, namespaces=spaces(namespaces))
    known.settle()
    return known


def steps_of_a_change(known: Known, one: ConfigMapSync) -> int:
    """Remove a sync and add it again; return the steps of the second decision."""
    known.remove(one.key)
    known.settle()
    before = known.steps
    known.add(one)
    known.settle()
    return known.steps - before


def test_a_ring_is_cut_once_and_costs_steps_in_proportion_to_its_size() -> None:
    for size in (500, 1_000):
        many = ring(size)
        known = settled(*many, namespaces=size)
        refused = [one for one in many if known.refusals(one.key)]
        assert refused == [many[-1]]
        assert steps_of_a_change(known, many[size // 2]) <= 10 * size


def test_nested_loops_cost_steps_in_proportion_to_their_claims() -> None:
    many = nested_loops(200)
    claims = sum(len(one.spec.destination_namespaces) for one in many)
    known = settled(*many, namespaces=201)

    reasons = {refusal.reason for one in many for refusal in known.refusals(one.key).values()}
    assert reasons == {Reason.LOOP_DETECTED, Reason.DESTINATION_CONTESTED}
    assert steps_of_a_change(known, many[100]) <= 10 * claims


def test_loops_deeper_than_the_stack_are_decided() -> None:
    many = [*ring(3_000), sync("bystander", "n7/other", "n8")]
    known = settled(*many, namespaces=3_000)

    assert known.refusals(many[-1].key) == {}
    (refusal,) = known.refusals(many[-2].key).values()
    assert (
        refusal.message
        == "would close a loop: n2999/cfg -> n0/cfg -> (at least 16 more) -> n2999/cfg"
    )


def test_many_globs_over_one_name_cost_steps_in_proportion_to_syncs_and_namespaces() -> None:
    many = crowd(300, "n*")
    known = settled(*many, namespaces=1_000)

    assert [len(known.refusals(one.key)) for one in many[:3]] == [0, 1_000, 1_000]
    assert steps_of_a_change(known, many[150]) <= 10 * (len(many) + 1_000)


def test_a_label_that_no_contested_sync_selects_costs_nothing() -> None:
    selector = {"matchLabels": {"l": "x"}}
    many = crowd_with(selector, 100)
    known = settled(*many, namespaces=50)
    before, comparisons = known.steps, known.graph.comparisons

    for labels in ({"other": "x"}, {}, {"other": "y"}):
        known.put_namespace(Namespace("n5", labels))
        assert known.settle() == set()

    assert known.steps == before
    assert known.graph.comparisons - comparisons <= 3 * len(many)


def test_a_label_that_contested_syncs_select_costs_steps_in_proportion_to_them() -> None:
    many = crowd_with({"matchLabels": {"l": "x"}}, 100)
    known = settled(*many, namespaces=50)
    before = known.steps

    known.put_namespace(Namespace("n5", {"l": "x"}))

    assert known.settle() == {one.key for one in many}
    assert known.steps - before <= 10 * len(many)


def crowd_with(selector: dict[str, object], size: int) -> list[ConfigMapSync]:
    more = {"destinationNamespaceSelector": selector, "destinationConfigMapName": "cfg"}
    return [
        sync(f"s{number:04}", f"a/from-{number}", "n1", minutes=number, **more)
        for number in range(size)
    ]


def test_a_change_costs_nothing_for_syncs_that_it_does_not_concern() -> None:
    strangers = [
        sync(
            f"s{number:04}",
            f"n{number}/from",
            f"n{number}",
            minutes=number,
            destinationConfigMapName="cfg",
        )
        for number in range(1_000)
    ]
    hub = sync("hub", "home/from", "n*", excludedNamespaces=["n0"])
    known = settled(*strangers, hub, namespaces=1_000)

    assert steps_of_a_change(known, strangers[500]) <= 10


def test_no_slice_takes_many_more_steps_than_the_limit() -> None:
    known = graph(*ring(1_000), namespaces=spaces(1_000))
    before = 0
    for _ in known.decide():
        assert known.steps - before <= STEPS_AT_ONCE + 1_000
        before = known.steps


def test_a_change_during_a_pause_is_decided_as_well() -> None:
    many = ring(300)
    known = graph(*many, namespaces=spaces(300))
    deciding = known.decide()
    next(deciding)

    known.remove(many[0].key)
    for _ in deciding:
        pass

    assert all(known.decided(one.key) for one in many)
    assert all(known.refusals(one.key) == {} for one in many)


def test_a_sync_that_is_waited_for_is_decided_before_others() -> None:
    known = graph(
        *ring(1_000), sync("bystander", "n7/other", "n8", minutes=2_000), namespaces=spaces(1_000)
    )
    bystander = NamespacedName("home", "bystander")

    first = next(news for news in known.decide(first=[bystander]) if news.syncs)

    assert bystander in first.syncs


def test_the_queries_of_the_webhook_end_after_a_bounded_number_of_lookups() -> None:
    known = graph(*ring(3_000), *crowd(1_000, "n*"), namespaces=spaces(3_000))
    for one in (
        sync("new", "n0/cfg", "n1", minutes=9_999),
        sync("new", "a/cfg", "n*", minutes=9_999),
    ):
        lookups = known.lookups
        known.cycle_through(one)
        known.contested(one)
        assert 0 < known.lookups - lookups <= 2 * MAX_LOOKUPS + 10
