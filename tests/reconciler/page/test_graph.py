"""The graph is bounded, shows failed destinations first, and follows chains."""

from typing import Any

from reconciler.page.graph import MOST_DESTINATIONS, MOST_MATCHES, MOST_SYNCS
from tests.reconciler.page.bench import Bench, ready


def drawn(graph: Any) -> list[str]:
    return [f"{node['sync']['namespace']}/{node['sync']['name']}" for node in graph["syncs"]]


def put_chain(bench: Bench, length: int) -> None:
    """Put syncs of which each copies the copy of the one before."""
    for number in range(length):
        spec = {"configMapName": f"c{number}", "destinationConfigMapName": f"c{number + 1}"}
        bench.put_sync("home", f"sync-{number}", spec={**spec, "destinationNamespaces": ["home"]})
        bench.put_copy("home", f"c{number + 1}", f"home/sync-{number}")


async def test_the_sync_that_writes_a_source_is_drawn_as_well(bench: Bench) -> None:
    put_chain(bench, 3)

    graph = await bench.json("/api/graph?q=sync-2")

    assert drawn(graph) == ["home/sync-2", "home/sync-1", "home/sync-0"]
    assert [node["upstream"] for node in graph["syncs"]] == ["home/sync-1", "home/sync-0", ""]
    assert [node["matched"] for node in graph["syncs"]] == [True, False, False]
    assert graph["matches"] == 1


async def test_the_chain_of_one_sync_goes_both_ways(bench: Bench) -> None:
    put_chain(bench, 4)
    bench.put_sync("home", "apart")

    assert sorted(drawn(await bench.json("/api/graph?sync=home/sync-1"))) == [
        f"home/sync-{number}" for number in range(4)
    ]


async def test_a_long_chain_is_cut(bench: Bench) -> None:
    put_chain(bench, MOST_SYNCS + 20)

    graph = await bench.json("/api/graph?sync=home/sync-5")

    assert (len(graph["syncs"]), graph["cut"]) == (MOST_SYNCS, True)


async def test_a_loop_ends(bench: Bench) -> None:
    for here, there in (("a", "b"), ("b", "a")):
        spec = {"sourceNamespace": here, "destinationNamespaces": [there]}
        bench.put_sync("home", here, spec=spec)
        bench.put_copy(there, "config", f"home/{here}")

    assert sorted(drawn(await bench.json("/api/graph?sync=home/a"))) == ["home/a", "home/b"]


async def test_many_syncs_are_cut_and_counted(bench: Bench) -> None:
    for number in range(100):
        bench.put_sync("home", f"sync-{number:02}")
    bench.put_sync("home", "worst", status=ready("SourceNotFound"))

    graph = await bench.json("/api/graph")

    assert (len(graph["syncs"]), graph["matches"]) == (MOST_MATCHES, 101)
    assert drawn(graph)[0] == "home/worst"


async def test_destinations_are_aggregated_and_the_failed_come_first(bench: Bench) -> None:
    failure = {"namespace": "zz-last", "reason": "NamespaceNotFound", "message": "not found"}
    status = ready("NamespaceNotFound", desired=41, synced=40, failures=[failure])
    bench.put_sync("home", "shared", status=status)
    for number in range(40):
        bench.put_copy(f"team-{number:02}", "config", "home/shared")

    (node,) = (await bench.json("/api/graph"))["syncs"]

    assert node["total"] == 41
    assert len(node["destinations"]) == MOST_DESTINATIONS
    assert node["destinations"][0]["namespace"] == "zz-last"


async def test_a_missing_source_is_reported(bench: Bench) -> None:
    bench.put_sync("home", "shared", status=ready("SourceNotFound"))

    assert (await bench.json("/api/graph"))["syncs"][0]["sourceExists"] is False
