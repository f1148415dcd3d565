"""The record of an election on an API server, with the least rights that it needs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

import pytest

from kube.connection import Connection, ConnectionSettings
from kube.errors import AlreadyExists, Conflict, Forbidden, NotFound
from kube.lease_record import LeaseRecord, LeaseSpec, Sighting
from tests.support.cluster import Cluster
from tests.support.eventually import eventually

LEASES = "/apis/coordination.k8s.io/v1/namespaces/{}/leases"
RBAC = "/apis/rbac.authorization.k8s.io/v1/namespaces/{}"
RULE = {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"]}
LEAST = [
    {**RULE, "verbs": ["create"]},
    {**RULE, "resourceNames": ["leader"], "verbs": ["get", "patch", "watch"]},
]
TIME = "2026-01-01T00:00:00.000001Z"
HELD_AT = datetime(2026, 1, 1, microsecond=1, tzinfo=UTC)
HELD = LeaseSpec("first", 15, TIME, TIME, 0)
LIMIT = 10.0  # seconds


@pytest.fixture
async def record(cluster: Cluster, namespace: str) -> AsyncIterator[LeaseRecord]:
    named = {"metadata": {"name": "election"}}
    cluster.create(f"{RBAC.format(namespace)}/roles", {**named, "rules": LEAST})
    group = "rbac.authorization.k8s.io"
    binding: dict[str, Any] = {
        **named,
        "roleRef": {"apiGroup": group, "kind": "Role", "name": "election"},
        "subjects": [{"apiGroup": group, "kind": "User", "name": "alice"}],
    }
    cluster.create(f"{RBAC.format(namespace)}/rolebindings", binding)
    settings = ConnectionSettings(kubeconfig=cluster.kubeconfig_for("alice"))
    async with Connection.open(settings) as connection:
        made = LeaseRecord(connection, namespace, "leader")
        await eventually(lambda: _may(made))
        yield made


async def _may(record: LeaseRecord) -> None:
    try:
        await record.read(LIMIT)
    except Forbidden as error:  # the authorizer hears of new roles by a watch
        raise AssertionError from error


async def test_what_is_written_is_read_and_what_others_wrote_stays(
    cluster: Cluster, namespace: str, record: LeaseRecord
) -> None:
    assert await record.read(LIMIT) is None
    first = await record.write(HELD, None, LIMIT)
    assert first.spec == HELD
    labelled = cluster.patch(record.path, {"metadata": {"labels": {"team": "web"}}})["metadata"][
        "resourceVersion"
    ]

    second = await record.write(HELD.released(HELD_AT), labelled, LIMIT)

    assert await record.read(LIMIT) == second
    assert (second.spec.holder_identity, second.spec.lease_duration_seconds) == ("", 1)
    assert cluster.get(record.path)["metadata"]["labels"] == {"team": "web"}


async def test_a_write_that_was_decided_on_something_else_is_refused(
    cluster: Cluster, record: LeaseRecord
) -> None:
    with pytest.raises(NotFound):
        await record.write(HELD, "1", LIMIT)
    first = await record.write(HELD, None, LIMIT)
    with pytest.raises(AlreadyExists):
        await record.write(HELD, None, LIMIT)
    await record.write(HELD.claimed_by("second", 15, HELD_AT), first.version, LIMIT)
    with pytest.raises(Conflict):
        await record.write(HELD, first.version, LIMIT)
    stale = await record.read(LIMIT)
    cluster.delete(record.path)
    await record.write(HELD, None, LIMIT)
    assert stale is not None
    with pytest.raises(Conflict):
        await record.write(HELD, stale.version, LIMIT)


async def test_every_renewal_makes_a_new_version_also_where_the_clock_stands_still(
    record: LeaseRecord,
) -> None:
    seen = [await record.write(HELD, None, LIMIT)]
    for _ in range(3):
        seen.append(
            await record.write(
                seen[-1].spec.claimed_by("first", 15, HELD_AT), seen[-1].version, LIMIT
            )
        )

    assert len({sighting.version for sighting in seen}) == 4


async def test_every_change_is_followed_and_nobody_elses(
    cluster: Cluster, namespace: str, record: LeaseRecord
) -> None:
    first = await record.write(HELD, None, LIMIT)
    cluster.create(
        LEASES.format(namespace), {"metadata": {"name": "another"}, "spec": {"holderIdentity": "x"}}
    )
    second = await record.write(HELD.claimed_by("second", 15, HELD_AT), first.version, LIMIT)
    cluster.delete(record.path)
    third = await record.write(HELD, None, LIMIT)

    seen: list[Sighting | None] = []
    async with asyncio.timeout(LIMIT), aclosing(record.follow(first.version, 60)) as changes:
        async for change in changes:
            seen.append(change)
            if len(seen) == 3:
                break

    assert seen == [second, None, third]


async def test_a_lease_with_the_highest_count_of_transitions_can_be_taken(
    record: LeaseRecord,
) -> None:
    """The API server stores 32 bits and refuses one more."""
    first = await record.write(LeaseSpec("", 1, TIME, TIME, (1 << 31) - 1), None, LIMIT)
    taken = await record.write(first.spec.claimed_by("second", 15, HELD_AT), first.version, LIMIT)
    assert taken.spec.holder_identity == "second"
