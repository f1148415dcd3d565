"""A restart leaves a source unread only if every copy shows that nothing changed."""

from collections import Counter
from typing import Any

import pytest

from configmapsync.names import DIGEST
from tests.costs.counted_connection import EVENTS_AFTER_ANSWERS
from tests.costs.scene import HOME, Costs, Scene
from tests.randomized.cluster import CONFIGMAPS, SYNCS

pytestmark = pytest.mark.looptime(start=0, noop_cycles=0)
THERE = ["n-0", "n-1", "n-2"]


@pytest.fixture
async def scene(calls: Counter[str]) -> Scene:
    """An empty cluster."""
    return Scene(calls, EVENTS_AFTER_ANSWERS)


async def begin_in_step(scene: Scene) -> None:
    """Add a source and its three copies, and stop the reconciler that wrote them."""
    await scene.begin(THERE)
    await scene.add_source(key="1", other="x")
    await scene.add_sync(destinationNamespaces=["n-*"])
    await restarted(scene)


async def restarted(scene: Scene) -> Costs:
    """Run a reconciler until it is idle, and return what that cost."""
    with scene.story() as costs:
        async with scene.reconciler():
            await scene.settle()
    return costs


def copies(scene: Scene) -> list[dict[str, Any]]:
    found = scene.cluster.all(CONFIGMAPS)
    return [document for document in found if document["metadata"]["namespace"] != HOME]


def content(scene: Scene) -> list[dict[str, str]]:
    return [document.get("data", {}) for document in copies(scene)]


async def test_nothing_is_read_or_written_if_nothing_changed(scene: Scene) -> None:
    await begin_in_step(scene)
    costs = await restarted(scene)
    assert (costs.requests["get configmaps"], costs.writes) == (0, 0)
    assert scene.summaries() == {"3/3"}


async def test_an_edit_of_the_source_while_no_reconciler_ran_is_copied(scene: Scene) -> None:
    await begin_in_step(scene)
    await scene.patch(HOME, data={"key": "2"})
    costs = await restarted(scene)
    assert content(scene) == [{"key": "2", "other": "x"}] * 3
    assert costs.requests["get configmaps"] == 1


async def test_a_source_deleted_while_no_reconciler_ran_is_reported(scene: Scene) -> None:
    await begin_in_step(scene)
    await scene.remove(HOME)
    await restarted(scene)
    (sync,) = scene.cluster.all(SYNCS)
    assert "SourceNotFound" in {each["reason"] for each in sync["status"]["conditions"]}


async def test_a_damaged_copy_is_repaired_with_one_read(scene: Scene) -> None:
    """Its digest mark still has the value of the status; its content does not."""
    await begin_in_step(scene)
    await scene.patch("n-1", data={"key": "damaged"})
    costs = await restarted(scene)
    assert content(scene) == [{"key": "1", "other": "x"}] * 3
    assert (costs.requests["get configmaps"], costs.requests["update configmaps"]) == (1, 1)


async def test_equally_damaged_copies_with_a_forged_mark_are_repaired(scene: Scene) -> None:
    await begin_in_step(scene)
    for namespace in THERE:
        marks = {DIGEST: f"sha256:{'0' * 64}"}
        await scene.patch(namespace, data={"key": "x"}, metadata={"annotations": marks})
    await restarted(scene)
    assert content(scene) == [{"key": "1", "other": "x"}] * 3


async def test_a_deleted_copy_is_created_again(scene: Scene) -> None:
    await begin_in_step(scene)
    await scene.remove("n-2")
    await restarted(scene)
    assert len(copies(scene)) == 3


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"keys": [{"key": "key"}]}, {"key": "1"}),
        ({"keys": [{"key": "key", "as": "renamed"}]}, {"renamed": "1"}),
    ],
    ids=["selected", "renamed"],
)
async def test_an_edit_of_the_keys_while_no_reconciler_ran_is_carried_out(
    scene: Scene, spec: dict[str, object], expected: dict[str, str]
) -> None:
    await begin_in_step(scene)
    await scene.edit_sync(spec=spec)
    await restarted(scene)
    assert content(scene) == [expected] * 3
    assert (await restarted(scene)).writes == 0


async def test_an_edit_of_the_metadata_to_copy_is_carried_out(scene: Scene) -> None:
    await begin_in_step(scene)
    await scene.edit_sync(spec={"copyMetadata": {"labels": ["team"]}})
    await restarted(scene)
    await scene.patch(HOME, metadata={"labels": {"team": "web"}})
    await restarted(scene)
    assert {each["metadata"]["labels"]["team"] for each in copies(scene)} == {"web"}


async def test_a_new_namespace_gets_its_copy(scene: Scene) -> None:
    await begin_in_step(scene)
    await scene.add_namespace("n-3", {})
    await restarted(scene)
    assert content(scene) == [{"key": "1", "other": "x"}] * 4
    assert scene.summaries() == {"4/4"}


async def test_a_status_of_another_source_version_is_not_trusted(scene: Scene) -> None:
    """An edit of metadata leaves the status as it is, so the next restart reads the source."""
    await begin_in_step(scene)
    await scene.patch(HOME, metadata={"labels": {"team": "web"}})
    costs = await restarted(scene)
    assert (costs.requests["get configmaps"], costs.writes) == (1, 0)
