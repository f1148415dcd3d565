"""Check the properties of all plans in random clusters."""

from dataclasses import replace

from hypothesis import HealthCheck, given, settings

from configmapsync.planning import owns, plan
from configmapsync.plans import Verb
from tests.configmapsync.objects import is_empty
from tests.configmapsync.worlds import PROTECTED, World, worlds

quick = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@quick
@given(worlds())
def test_after_a_plan_is_carried_out_nothing_remains_to_do(world: World) -> None:
    after = world
    # A renamed copy is removed one plan after it was replaced, and a released orphan may then be in
    # the way.
    for _ in range(3):
        after = after.carry_out(plan(after.observe()))

    assert is_empty(plan(after.observe()))


@quick
@given(worlds())
def test_no_plan_names_the_source(world: World) -> None:
    planned = plan(world.observe())

    assert world.sync.source not in {write.key for write in (*planned.writes, *planned.removals)}


@quick
@given(worlds())
def test_no_plan_changes_an_unmanaged_configmap_unless_it_may_adopt(world: World) -> None:
    planned = plan(world.observe())

    for write in (*planned.writes, *planned.removals):
        there = world.configmaps.get(write.key)
        if write.verb is Verb.ADOPT:
            assert world.sync.spec.conflict_policy == "Adopt"
            assert there is not None
            assert not there.managed or there.cloned
        elif there is not None:
            ours = there.sync_uid == world.sync.metadata.uid
            assert there.managed
            assert not there.cloned
            assert ours or owns(world.sync, there, world.living.__contains__)


@quick
@given(worlds())
def test_only_owned_copies_are_removed_and_only_those_with_their_destination_mark_deleted(
    world: World,
) -> None:
    for removal in plan(world.observe()).removals:
        assert removal.record is not None
        assert removal.record.synced_by == world.sync.key
        assert removal.record.destination in {None, removal.key}
        if removal.record.adopted or removal.record.destination is None:
            assert removal.verb is Verb.RELEASE


@quick
@given(worlds())
def test_no_plan_writes_where_nothing_was_selected(world: World) -> None:
    for write in plan(world.observe()).writes:
        namespace = world.namespaces[write.key.namespace]
        assert not namespace.terminating
        assert namespace.labels.get("apps.nishaf.info/sync") != "disabled"
        if namespace.name in PROTECTED:
            assert namespace.name in world.sync.spec.destination_namespaces


@quick
@given(worlds())
def test_the_order_of_inputs_never_matters(world: World) -> None:
    observed = world.observe()
    turned = replace(
        observed,
        copies=tuple(reversed(observed.copies)),
        namespaces=dict(reversed(list(observed.namespaces.items()))),
    )

    assert plan(observed) == plan(turned)


@quick
@given(worlds())
def test_each_wanted_destination_has_exactly_one_decision(world: World) -> None:
    planned = plan(world.observe())
    decided = [write.key.namespace for write in planned.writes] + [
        outcome.namespace for outcome in planned.settled
    ]

    assert len(decided) == len(set(decided))


@quick
@given(worlds())
def test_the_finalizer_is_needed_if_the_sync_has_or_gets_a_copy(
    world: World,
) -> None:
    planned = plan(world.observe())
    # Nothing waits for a copy with the UID of another sync: any client can forge one.
    uid = world.sync.metadata.uid
    own = [each for each in planned.removals if each.record and each.record.sync_uid == uid]

    if planned.writes or own or (planned.removals and not world.sync.deleting):
        assert planned.finalizer


@quick
@given(worlds())
def test_a_suspended_sync_writes_nothing_until_it_is_deleted(world: World) -> None:
    if world.sync.spec.suspend and not world.sync.deleting:
        assert is_empty(plan(world.observe()))


@quick
@given(worlds())
def test_a_sync_without_rights_removes_its_copies_and_writes_none(world: World) -> None:
    observed = replace(world.observe(), denied="robot may not get it")
    planned = plan(observed)

    assert plan(replace(observed, source=None)) == planned
    if world.sync.spec.suspend and not world.sync.deleting:
        assert is_empty(planned)
        return
    assert not planned.writes
    for copy in observed.copies:
        namespace = world.namespaces.get(copy.namespace)
        there = namespace is not None and not namespace.terminating and not copy.deleting
        removed = copy.key in {removal.key for removal in planned.removals}
        assert removed == (there and owns(world.sync, copy, world.living.__contains__))
    if not world.sync.deleting:
        assert planned.verdict is not None
        assert planned.verdict.reason == "NotAuthorized"
