"""What a story costs: requests, plans, decodes and status writes, counted.

A bound that is not reached yet stands beside the bar it has to come down to.
"""

from collections import Counter
from collections.abc import Mapping

import pytest

from reconciler.known.sources import MANY_READS
from tests.costs.counted_connection import EVENTS_AFTER_ANSWERS, EVENTS_BEFORE_ANSWERS, Delays
from tests.costs.scene import HOME, Scene

pytestmark = pytest.mark.looptime(start=0, noop_cycles=0)
COPIES, SYNCS = 200, 100
MANY_COPIES = 2_000
NAMESPACES = [f"n-{number:04}" for number in range(COPIES)]
ALL = {"destinationNamespaces": ["n-*"]}
SELECTED = {"destinationNamespaceSelector": {"matchLabels": {"tier": "web"}}}
# Each informer lists once and watches once. ConfigMaps have two: our copies, and all others.
START = {
    "list configmapsyncs": 1,
    "list namespaces": 1,
    "list configmaps": 2,
    "watch configmapsyncs": 1,
    "watch namespaces": 1,
    "watch configmaps": 2,
}
STATUS, EVENTS, REPEATED_EVENTS = "patch configmapsyncs/status", "create events", "patch events"


@pytest.fixture(
    params=[EVENTS_AFTER_ANSWERS, EVENTS_BEFORE_ANSWERS], ids=["answers first", "events first"]
)
def delays(request: pytest.FixtureRequest) -> Delays:
    """Both orders in which the answer to a write and its watch event arrive."""
    order: Delays = request.param
    return order


@pytest.fixture
async def scene(calls: Counter[str], delays: Delays) -> Scene:
    """An empty cluster."""
    return Scene(calls, delays)


async def add_copies(scene: Scene, copies: int = COPIES) -> None:
    """Add a source, and one sync that copies it into every namespace."""
    await scene.begin(f"n-{number:04}" for number in range(copies))
    await scene.add_source()
    await scene.add_sync(**ALL)


async def add_syncs(scene: Scene, spec: Mapping[str, object]) -> None:
    """Add many syncs, each with its own source."""
    await scene.begin(NAMESPACES)
    for number in range(SYNCS):
        await scene.add_source(f"own-{number}")
        await scene.add_sync(f"own-{number}", **spec)


async def test_a_new_sync_costs_a_create_for_each_copy(scene: Scene) -> None:
    await scene.begin(NAMESPACES)
    await scene.add_source()
    async with scene.running_story() as costs:
        await scene.add_sync(**ALL)
    costs.check(
        {"get configmaps": 1, "create configmaps": COPIES, STATUS: 1, EVENTS: 1},
        plans=1,
        copies_decoded=1,
        digests=2,
        specs_parsed=1,
        syncs_decoded=1,
        wakes=1,
    )
    assert scene.summaries() == {f"{COPIES}/{COPIES}"}


async def test_a_new_sync_with_one_copy_costs_two_writes(scene: Scene) -> None:
    await scene.begin(NAMESPACES)
    await scene.add_source()
    async with scene.running_story() as costs:
        await scene.add_sync(destinationNamespace=NAMESPACES[0])
    # The bar: no event, because the status says the same.
    costs.check(
        {"get configmaps": 1, "create configmaps": 1, STATUS: 1, EVENTS: 1},
        plans=1,
        copies_decoded=1,
        digests=2,
        specs_parsed=1,
        syncs_decoded=1,
        wakes=1,
    )


async def test_an_edit_of_a_source_costs_a_put_for_each_copy(scene: Scene) -> None:
    await add_copies(scene, MANY_COPIES)
    async with scene.running_story() as costs:
        await scene.patch(HOME, data={"key": "2"})
    # Writes that take more than two seconds are reported once before the end.
    costs.check(
        {
            "update configmaps": MANY_COPIES,
            STATUS: 2,
            REPEATED_EVENTS: 2,
        },
        plans=2,
        sources_decoded=1,
        copies_decoded=1,
        digests=3,
        specs_parsed=0,
        syncs_decoded=0,
        wakes=2,
    )
    assert scene.summaries() == {f"{MANY_COPIES}/{MANY_COPIES}"}


async def test_an_edit_of_metadata_that_no_copy_takes_over_costs_no_write_of_a_copy(
    scene: Scene,
) -> None:
    await add_copies(scene)
    async with scene.running_story() as costs:
        await scene.patch(HOME, metadata={"labels": {"team": "web"}})
    costs.check({}, plans=1, copies_decoded=0)


async def test_a_label_of_another_tool_on_a_copy_costs_nothing(scene: Scene) -> None:
    await add_copies(scene)
    async with scene.running_story() as costs:
        await scene.patch(NAMESPACES[0], metadata={"labels": {"seen-by": "backup"}})
    costs.check({}, plans=1, copies_decoded=1)


async def test_an_unrelated_configmap_costs_one_scan_of_its_event(scene: Scene) -> None:
    await add_copies(scene)
    async with scene.running_story() as costs:
        for number in range(COPIES):
            await scene.add_source(name=f"unrelated-{number}")
    costs.check(
        {}, events_read=COPIES, objects_of_events_found=0, versions_decoded=0, wakes=0, plans=0
    )
    assert costs.calls["events read"] == COPIES


@pytest.mark.parametrize("damage", ["edited", "deleted"])
async def test_damaged_copies_are_repaired_with_a_write_each(scene: Scene, damage: str) -> None:
    await add_copies(scene)
    damaged = NAMESPACES[::2]
    async with scene.running_story() as costs:
        for namespace in damaged:
            if damage == "edited":
                await scene.patch(namespace, data={"key": "damaged"})
            else:
                await scene.remove(namespace)
    repair = "update configmaps" if damage == "edited" else "create configmaps"
    # An event for each copy, up to the budget of one sync.
    costs.check(
        {repair: len(damaged), STATUS: 3, EVENTS: 21, REPEATED_EVENTS: 1},
        plans=4,
        copies_decoded=len(damaged) if damage == "edited" else 0,
        syncs_decoded=0,
    )


async def test_a_start_costs_a_create_and_a_status_for_each_sync(scene: Scene) -> None:
    await add_syncs(scene, {"destinationNamespace": NAMESPACES[0]})
    with scene.story() as costs:
        async with scene.reconciler():
            await scene.settle()
    # The first sources are read one by one, until so many reads are in flight that one page of a
    # list replaces the rest. Events are within the budget.
    costs.check(
        {
            **START,
            "list configmaps": 3,
            "get configmaps": MANY_READS,
            "create configmaps": SYNCS,
            STATUS: SYNCS,
            EVENTS: 20,
        },
        plans=SYNCS,
        copies_decoded=1,
        specs_parsed=SYNCS,
        syncs_decoded=SYNCS,
    )
    assert scene.summaries() == {"1/1"}


async def test_a_restart_in_step_writes_nothing(scene: Scene) -> None:
    await add_syncs(scene, {"destinationNamespace": NAMESPACES[0]})
    async with scene.reconciler():
        await scene.settle()
    with scene.story() as costs:
        async with scene.reconciler():
            await scene.settle()
    costs.check(
        START,
        plans=SYNCS,
        copies_decoded=SYNCS,
        specs_parsed=SYNCS,
        syncs_decoded=SYNCS,
        sources_decoded=0,
    )


async def test_a_new_namespace_costs_a_create_and_a_status_for_each_sync_that_selects_it(
    scene: Scene,
) -> None:
    await add_syncs(scene, SELECTED)
    async with scene.reconciler():
        await scene.settle()
        await scene.add_namespace("first", {"tier": "web"})
        await scene.settle()
        with scene.story() as costs:
            await scene.add_namespace("second", {"tier": "web"})
            await scene.settle()
    # Labels are compared four times for each sync, in no matter how many namespaces.
    costs.check(
        {"create configmaps": SYNCS, STATUS: SYNCS},
        plans=SYNCS,
        copies_decoded=0,
        specs_parsed=0,
        syncs_decoded=0,
        wakes=SYNCS,
        selections=2 * SYNCS,
        labels_compared=4 * SYNCS,
    )


async def test_a_namespace_that_no_sync_selects_costs_nothing(scene: Scene) -> None:
    await add_syncs(scene, SELECTED)
    async with scene.running_story() as costs:
        await scene.add_namespace("other", {"tier": "database"})
    costs.check({}, plans=0, wakes=0, selections=0, labels_compared=0)
