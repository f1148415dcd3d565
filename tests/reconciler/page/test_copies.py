"""The state of each copy follows from the status of its sync and from its digest."""

from typing import Any

import pytest

from configmapsync.names import ADOPTED, DESTINATION
from tests.reconciler.page.bench import Bench, ready

OTHER = {"key": "another value"}


async def states(bench: Bench, path: str = "/api/copies") -> dict[str, tuple[str, str]]:
    rows = (await bench.json(path))["rows"]
    return {f"{row['namespace']}/{row['name']}": (row["state"], row["reason"]) for row in rows}


async def test_a_copy_is_synced_if_its_digest_is_that_of_the_status(bench: Bench) -> None:
    bench.put_sync("home", "shared")
    bench.put_copy("web", "config", "home/shared")
    bench.put_copy("old", "config", "home/shared", data=OTHER)

    assert await states(bench) == {
        "web/config": ("synced", ""),
        "old/config": ("progressing", ""),
    }


async def test_a_failure_of_the_status_is_the_state_of_its_copy(bench: Bench) -> None:
    failures = [
        {"namespace": "web", "reason": "Contested", "message": "kubectl-edit keeps rewriting it"},
        {"namespace": "gone", "reason": "NamespaceNotFound", "message": "not found"},
    ]
    bench.put_sync("home", "shared", status=ready("Contested", failures=failures, synced=0))
    bench.put_copy("web", "config", "home/shared")

    rows = (await bench.json("/api/copies?state=failed"))["rows"]

    found = {(row["namespace"], row["reason"], row["present"]) for row in rows}
    assert found == {("web", "Contested", True), ("gone", "NamespaceNotFound", False)}


@pytest.mark.parametrize(
    ("status", "spec", "expected"),
    [
        (ready("Suspended"), {"suspend": True}, ("suspended", "Suspended")),
        (ready("SourceNotFound", source=None), {}, ("failed", "SourceNotFound")),
        (ready("Progressing"), {}, ("progressing", "")),
        (None, {}, ("progressing", "")),
    ],
)
async def test_an_old_copy_has_the_state_of_its_sync(
    bench: Bench, status: Any, spec: dict[str, Any], expected: tuple[str, str]
) -> None:
    bench.put_sync("home", "shared", status=status, spec=spec)
    bench.put_copy("web", "config", "home/shared", data=OTHER)

    assert await states(bench) == {"web/config": expected}


async def test_a_clone_is_not_shown_as_a_copy(bench: Bench) -> None:
    bench.put_sync("home", "shared")
    bench.put_copy("web", "config", "home/shared", **{DESTINATION: "elsewhere/config"})

    assert await states(bench) == {}


async def test_a_copy_without_its_sync_is_orphaned(bench: Bench) -> None:
    bench.put_copy("web", "config", "home/deleted")

    assert await states(bench) == {"web/config": ("orphaned", "")}


async def test_an_adopted_copy_is_marked(bench: Bench) -> None:
    bench.put_sync("home", "shared")
    bench.put_copy("web", "config", "home/shared", **{ADOPTED: "true"})

    assert (await bench.json("/api/copies"))["rows"][0]["adopted"] is True


async def test_the_destinations_include_selected_namespaces_without_a_copy(bench: Bench) -> None:
    for name in ("team-a", "team-b", "other", "kube-system"):
        bench.put_namespace(name)
    spec = {"destinationNamespaces": ["team-*"]}
    bench.put_sync("home", "shared", spec=spec, status=ready("Progressing", desired=2))
    bench.put_copy("team-a", "config", "home/shared")

    path = "/api/syncs/home/shared/destinations"

    assert await states(bench, path) == {
        "team-a/config": ("synced", ""),
        "team-b/config": ("progressing", "Progressing"),
    }
    assert list(await states(bench, f"{path}?q=team-b")) == ["team-b/config"]


async def test_failures_that_the_status_does_not_list_are_not_called_progress(
    bench: Bench,
) -> None:
    names = [f"team-{number:02}" for number in range(25)]
    for name in names:
        bench.put_namespace(name)
    failures = [
        {"namespace": name, "reason": "WriteFailed", "message": "denied"} for name in names[:20]
    ]
    status = ready("WriteFailed", desired=25, synced=0, failures=failures)
    status["destinations"]["failed"] = 25
    bench.put_sync("home", "shared", spec={"destinationNamespaces": ["team-*"]}, status=status)

    found = await states(bench, "/api/syncs/home/shared/destinations")

    assert set(found.values()) == {("failed", "WriteFailed")}
    assert len(found) == 25


async def test_a_copy_under_a_former_name_is_to_be_removed(bench: Bench) -> None:
    bench.put_sync("home", "shared", spec={"destinationConfigMapName": "renamed"})
    bench.put_copy("web", "config", "home/shared")
    bench.put_copy("web", "renamed", "home/shared")

    assert await states(bench) == {
        "web/config": ("progressing", ""),
        "web/renamed": ("synced", ""),
    }
