"""The JSON answers: their content, filters and pages, and what they refuse."""

import json
from typing import Any

import pytest

from kube.event_correlator import ObjectReference
from tests.reconciler.page.bench import DATA, Bench, FakeElector, ready, serving

HOSTILE = "</script><img src=x onerror=alert(1)>\u2028 %s {}"


def names(page: Any) -> list[str]:
    return [f"{row['namespace']}/{row['name']}" for row in page["rows"]]


async def test_a_sync_is_shown_with_its_state_and_counts(bench: Bench) -> None:
    failure = {"namespace": "web", "reason": "DestinationConflict", "message": "in the way"}
    status = ready("DestinationConflict", "1 of 3", desired=3, synced=2, failures=[failure])
    bench.put_sync("platform", "shared", status=status)

    assert (await bench.json("/api/syncs"))["rows"] == [
        {
            "namespace": "platform",
            "name": "shared",
            "source": "platform/config",
            "copyName": "config",
            "state": "failed",
            "reason": "DestinationConflict",
            "message": "1 of 3",
            "desired": 3,
            "synced": 2,
            "failed": 1,
            "written": None,
            "created": "2026-01-01T00:00:00Z",
            "deleting": False,
        }
    ]


async def test_the_worst_state_comes_first(bench: Bench) -> None:
    bench.put_sync("a", "synced")
    bench.put_sync("b", "suspended", status=ready("Suspended"))
    bench.put_sync("c", "edited", metadata={"generation": 2})
    bench.put_sync("d", "new", status=None)
    bench.put_sync("e", "failed", status=ready("SourceNotFound"))

    by_state = await bench.json("/api/syncs")
    by_name = await bench.json("/api/syncs?sort=name")

    assert names(by_state) == ["e/failed", "c/edited", "d/new", "b/suspended", "a/synced"]
    assert names(by_name) == sorted(names(by_state))


async def test_the_latest_write_comes_first_if_asked_for(bench: Bench) -> None:
    bench.put_sync("a", "old", status=ready(lastSyncTime="2026-01-01T00:00:00Z"))
    bench.put_sync("a", "new", status=ready(lastSyncTime="2026-02-01T00:00:00Z"))
    bench.put_sync("a", "never")

    assert names(await bench.json("/api/syncs?sort=written")) == ["a/new", "a/old", "a/never"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("q=shared", ["platform/shared"]),
        ("q=PLATFORM/", ["platform/limits", "platform/shared"]),
        ("q=trust/ca", ["web/bundle"]),
        ("q=team-copy", ["platform/limits"]),
        ("state=failed", ["web/bundle"]),
        ("reason=SourceNotFound", ["web/bundle"]),
        ("state=failed&q=shared", []),
    ],
)
async def test_syncs_are_filtered(bench: Bench, query: str, expected: list[str]) -> None:
    bench.put_sync("platform", "shared")
    bench.put_sync("platform", "limits", spec={"destinationConfigMapName": "team-copy"})
    bench.put_sync(
        "web",
        "bundle",
        spec={"sourceNamespace": "trust", "configMapName": "ca"},
        status=ready("SourceNotFound"),
    )

    page = await bench.json(f"/api/syncs?{query}")

    assert sorted(names(page)) == expected
    assert page["total"] == len(expected)


async def test_rows_come_in_pages_of_a_bounded_size(bench: Bench) -> None:
    for number in range(450):
        bench.put_sync("home", f"sync-{number:03}")

    largest = await bench.json("/api/syncs?limit=100000")
    middle = await bench.json("/api/syncs?limit=100&offset=400")
    beyond = await bench.json("/api/syncs?limit=100&offset=5000")

    assert (largest["total"], len(largest["rows"])) == (450, 200)
    assert names(middle) == [f"home/sync-{number:03}" for number in range(400, 450)]
    assert (beyond["offset"], names(beyond)) == (400, names(middle))


@pytest.mark.parametrize(
    "query",
    [
        "nonsense=1",
        "q=a&q=b",
        "state=bad",
        "sort=bad",
        "limit=-1",
        "limit=ten",
        "offset=" + "9" * 5000,
        "offset=%D9%A3",
        "sync=no-slash",
        "q=" + "x" * 321,
    ],
)
async def test_a_wrong_query_is_refused_with_the_parameter(bench: Bench, query: str) -> None:
    answer = await bench.get(f"/api/syncs?{query}")

    assert answer.status == 400
    assert query.split("=", 1)[0] in answer.json["error"]
    assert len(answer.text) < 1000


async def test_an_unchanged_answer_is_not_sent_again(bench: Bench) -> None:
    bench.put_sync("home", "first")
    first = await bench.get("/api/syncs")
    again = await bench.get("/api/syncs", {"If-None-Match": first.headers["ETag"]})
    bench.events.emit(ObjectReference("v1", "ConfigMap", "home", "x"), "Normal", "Synced", "")
    changed = await bench.get("/api/syncs", {"If-None-Match": first.headers["ETag"]})

    assert [first.status, again.status, changed.status] == [200, 304, 200]
    assert again.text == ""


async def test_a_restarted_reconciler_does_not_match_old_tags(bench: Bench) -> None:
    first = await bench.get("/api/syncs")
    async with serving() as restarted:
        answer = await restarted.get("/api/syncs", {"If-None-Match": first.headers["ETag"]})

    assert answer.status == 200


async def test_hostile_texts_arrive_as_json_and_cut(bench: Bench) -> None:
    message = HOSTILE + "x" * 30_000
    failure = {"namespace": HOSTILE, "reason": HOSTILE, "message": message}
    bench.put_sync("home", "hostile", status=ready(HOSTILE, message, synced=0, failures=[failure]))
    for path in ("/api/syncs", "/api/graph", "/api/copies", "/api/syncs/home/hostile"):
        answer = await bench.get(path)

        assert answer.headers["Content-Type"] == "application/json"
        assert HOSTILE in json.dumps(answer.json, ensure_ascii=False)
        assert len(answer.text) < 20_000


async def test_no_answer_contains_a_value_of_a_configmap(bench: Bench) -> None:
    bench.put_sync("home", "shared")
    bench.put_copy("web", "config", "home/shared")
    paths = ["state", "syncs", "copies", "graph", "events", "syncs/home/shared"]
    for path in [*paths, "syncs/home/shared/destinations"]:
        answer = await bench.get(f"/api/{path}")

        assert answer.status == 200
        assert DATA["key"] not in answer.text


async def test_the_details_explain_a_failure_as_the_plugin_does(bench: Bench) -> None:
    failure = {"namespace": "web", "reason": "NamespaceNotFound", "message": "not found"}
    status = ready("NamespaceNotFound", "1 of 1", synced=0, failures=[failure])
    bench.put_sync("home", "shared", status=status)

    found = await bench.json("/api/syncs/home/shared")

    assert [each["reason"] for each in found["explanations"]] == ["NamespaceNotFound"]
    assert "kubectl create namespace web" in found["explanations"][0]["commands"]
    assert {"label": "destinationNamespaces", "value": "web"} in found["facts"]


async def test_the_details_of_a_large_spec_are_cut(bench: Bench) -> None:
    bench.put_sync("home", "large", spec={"destinationNamespaces": [f"n-{n}" for n in range(200)]})

    found = await bench.json("/api/syncs/home/large")

    values = {fact["label"]: fact["value"] for fact in found["facts"]}
    assert values["destinationNamespaces"].endswith("n-19, and 180 more")


async def test_an_invalid_spec_is_shown_with_its_errors(bench: Bench) -> None:
    bench.put_sync(
        "home", "invalid", spec={"destinationNamespaces": []}, status=ready("InvalidSpec")
    )

    found = await bench.json("/api/syncs/home/invalid")

    assert found["errors"]
    assert found["facts"] == []
    assert found["explanations"][0]["reason"] == "InvalidSpec"


async def test_an_unknown_sync_is_not_found(bench: Bench) -> None:
    assert (await bench.get("/api/syncs/home/nothing")).status == 404
    assert (await bench.get("/api/syncs/home/nothing/destinations")).status == 404


async def test_before_the_caches_are_complete_only_the_state_is_answered() -> None:
    async with serving(FakeElector(), synced=False) as bench:
        state = await bench.json("/api/state")
        answer = await bench.get("/api/syncs")

    assert state["replica"]["role"] == "starting"
    assert [watch["synced"] for watch in state["replica"]["watches"]] == [False] * 4
    assert answer.status == 503


async def test_a_standby_names_the_leader() -> None:
    async with serving(FakeElector(leading=False, holder="reconciler-7d4b_0a1b")) as bench:
        replica = (await bench.json("/api/state"))["replica"]

    assert (replica["role"], replica["leader"]) == ("standby", "reconciler-7d4b")


async def test_the_only_replica_leads() -> None:
    async with serving() as bench:
        assert (await bench.json("/api/state"))["replica"]["role"] == "leading"


async def test_events_come_newest_first_and_are_counted(bench: Bench) -> None:
    sync = ObjectReference("apps.nishaf.info/v1", "ConfigMapSync", "home", "shared")
    bench.events.emit(sync, "Warning", "SourceNotFound", "the source is gone")
    bench.events.emit(sync, "Normal", "Synced", "all copies are up to date")
    bench.events.emit(sync, "Warning", "SourceNotFound", "the source is gone")

    rows = (await bench.json("/api/events"))["rows"]
    filtered = (await bench.json("/api/events?q=up to"))["rows"]

    assert [(row["reason"], row["count"]) for row in rows] == [("SourceNotFound", 2), ("Synced", 1)]
    assert [row["reason"] for row in filtered] == ["Synced"]


async def test_the_number_of_events_is_bounded(bench: Bench) -> None:
    for number in range(700):
        copy = ObjectReference("v1", "ConfigMap", "home", f"config-{number}")
        bench.events.emit(copy, "Normal", "Synced", "repaired")

    page = await bench.json("/api/events?limit=200")

    assert (page["total"], page["rows"][0]["name"]) == (500, "config-699")
