"""The road leads through a real API server as it does through scripted ones."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from kube.client import MERGE_PATCH, METADATA, Client
from kube.connection import Connection, ConnectionSettings
from kube.errors import (
    AlreadyExists,
    BadRequest,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    TooLarge,
    Unauthorized,
)
from kube.event_correlator import ObjectReference
from kube.events import EventRecorder
from kube.informer import Informer
from tests.kube.scripted import rng, running
from tests.kube.test_informer import Thing, read_thing
from tests.support.cluster import Cluster
from tests.support.eventually import eventually
from tests.support.users import write_kubeconfig

CONFIGMAPS = "/api/v1/configmaps"


def path(namespace: str, name: str = "") -> str:
    return f"/api/v1/namespaces/{namespace}/configmaps" + (f"/{name}" if name else "")


def document(name: str, color: str = "red", **metadata: object) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "labels": {"kube-test": "yes"}, **metadata},
        "data": {"color": color},
    }


@pytest.fixture
async def connection(cluster: Cluster) -> AsyncIterator[Connection]:
    async with Connection.open(ConnectionSettings(kubeconfig=cluster.kubeconfig)) as opened:
        yield opened


@pytest.fixture
async def things(connection: Connection) -> AsyncIterator[Informer[Thing]]:
    informer: Informer[Thing] = Informer(
        connection,
        CONFIGMAPS,
        decode=read_thing,
        params={"labelSelector": "kube-test=yes"},
        rng=rng(),
    )
    async with running(informer.run()):
        await asyncio.wait_for(informer.synced.wait(), 10)
        yield informer


async def test_the_cache_follows_every_change(
    cluster: Cluster, things: Informer[Thing], namespace: str
) -> None:
    def color(name: str) -> str | None:
        held = things.get(namespace, name)
        return held.color if held else None

    cluster.create(path(namespace), document("a"))
    cluster.create(path(namespace), document("b"))
    await eventually(lambda: (color("a"), color("b")) == ("red", "red"))
    cluster.patch(path(namespace, "a"), {"data": {"color": "blue"}})
    cluster.patch(
        path(namespace, "b"), {"metadata": {"labels": {"kube-test": None}}}
    )  # it leaves the selection
    await eventually(lambda: (color("a"), color("b")) == ("blue", None))
    cluster.delete(path(namespace, "a"))
    await eventually(lambda: color("a") is None)


async def test_a_cache_of_metadata_follows_too_and_gets_no_content(
    cluster: Cluster, connection: Connection, namespace: str
) -> None:
    seen: list[dict[str, Any]] = []

    def read(raw: msgspec.Raw) -> Thing:
        seen.append(msgspec.json.decode(raw))
        meta = seen[-1]["metadata"]
        return Thing(meta.get("namespace", ""), meta["name"], meta["resourceVersion"])

    cluster.create(path(namespace), document("listed"))
    informer: Informer[Thing] = Informer(
        connection, CONFIGMAPS, decode=read, accept=METADATA, rng=rng()
    )
    async with running(informer.run()):
        await asyncio.wait_for(informer.synced.wait(), 10)
        assert informer.get(namespace, "listed") is not None
        cluster.create(path(namespace), document("watched"))
        await eventually(lambda: informer.get(namespace, "watched") is not None)
    assert not any("data" in each for each in seen)


async def test_more_than_a_page_is_listed_whole(
    cluster: Cluster, connection: Connection, namespace: str
) -> None:
    names = [f"thing-{number:03}" for number in range(501)]
    bodies = [msgspec.json.encode(document(name)) for name in names]
    await asyncio.gather(
        *(connection.request("POST", path(namespace), body=body) for body in bodies)
    )
    informer: Informer[Thing] = Informer(connection, path(namespace), decode=read_thing, rng=rng())
    async with running(informer.run()):
        await asyncio.wait_for(informer.synced.wait(), 20)
        assert {each.name for each in informer.values()} >= set(names)


async def test_our_own_writes_are_told_at_most_once_and_never_undone(
    things: Informer[Thing], connection: Connection, namespace: str
) -> None:
    """A watch may be faster than the answer to a write, or slower; the cache only goes forward."""
    told: list[int] = []
    things.on_change(
        lambda _, new: told.append(int(new.resource_version)) if new and new.name == "a" else None
    )
    for number in range(20):
        body = msgspec.json.encode(document("a", str(number)))
        method, place = ("PATCH", path(namespace, "a")) if number else ("POST", path(namespace))
        content_type = MERGE_PATCH if number else "application/json"
        written = read_thing(
            msgspec.Raw(
                await connection.request(method, place, body=body, content_type=content_type)
            )
        )
        assert written is not None
        things.record(written)
        assert things.get(namespace, "a") == written
    await connection.request("POST", path(namespace), body=msgspec.json.encode(document("z")))
    await eventually(lambda: things.get(namespace, "z") is not None)  # all echoes came before
    assert things.get(namespace, "a") == written
    assert told == sorted(set(told))


async def test_refusals_have_their_classes(
    connection: Connection, cluster: Cluster, namespace: str
) -> None:
    body = msgspec.json.encode(document("a"))
    stored = msgspec.json.decode(await connection.request("POST", path(namespace), body=body))
    with pytest.raises(AlreadyExists):
        await connection.request("POST", path(namespace), body=body)
    with pytest.raises(NotFound):
        await connection.request("GET", path(namespace, "missing"))
    with pytest.raises(NotFound):
        await connection.request("GET", "/apis/no.such.group/v1/things")
    with pytest.raises(NotFound):
        await connection.request("POST", path("no-such-namespace"), body=body)
    with pytest.raises(Invalid):
        await connection.request(
            "POST", path(namespace), body=msgspec.json.encode(document("Not A Name"))
        )
    cluster.patch(path(namespace, "a"), {"data": {"color": "blue"}})
    with pytest.raises(Conflict):
        await connection.request("PUT", path(namespace, "a"), body=msgspec.json.encode(stored))
    options = {"preconditions": {"resourceVersion": stored["metadata"]["resourceVersion"]}}
    with pytest.raises(Conflict):
        await connection.request("DELETE", path(namespace, "a"), body=msgspec.json.encode(options))
    with pytest.raises(TooLarge):
        await connection.request(
            "POST", path(namespace), body=msgspec.json.encode(document("big", "x" * (4 << 20)))
        )
    with pytest.raises(BadRequest, match="continue"):
        await connection.request(
            "GET", path(namespace), params={"limit": "1", "continue": "rubbish"}
        )


async def test_strangers_and_the_powerless_are_told_apart(cluster: Cluster, namespace: str) -> None:
    powerless = ConnectionSettings(kubeconfig=cluster.kubeconfig_for("alice"))
    async with Connection.open(powerless) as connection:
        with pytest.raises(Forbidden) as caught:
            await connection.request("GET", path(namespace))
        assert not caught.value.namespace_terminating
    nobody = write_kubeconfig(
        cluster.folder / "nobody", cluster.url, cluster.authority_file, {"token": "of-nobody"}
    )
    async with Connection.open(ConnectionSettings(kubeconfig=nobody)) as connection:
        with pytest.raises(Unauthorized):
            await connection.request("GET", path(namespace))


async def test_a_namespace_on_its_way_out_is_recognised(
    cluster: Cluster, connection: Connection, namespace: str
) -> None:
    cluster.create(path(namespace), document("holds-it", finalizers=["kube.test/hold"]))
    cluster.delete(f"/api/v1/namespaces/{namespace}")
    with pytest.raises(Forbidden) as caught:
        await connection.request(
            "POST", path(namespace), body=msgspec.json.encode(document("late"))
        )
    assert caught.value.namespace_terminating
    cluster.patch(path(namespace, "holds-it"), {"metadata": {"finalizers": None}})


async def test_an_event_that_is_a_mebibyte_of_escapes_arrives(
    cluster: Cluster, things: Informer[Thing], namespace: str
) -> None:
    """A single ConfigMap must not stop the watches."""
    cluster.create(path(namespace), document("long", "<" * 1_000_000))
    cluster.create(path(namespace), document("next"))
    await eventually(lambda: things.get(namespace, "next") is not None)
    held = things.get(namespace, "long")
    assert held is not None
    assert len(held.color) == 1_000_000


async def test_a_watch_from_a_version_of_the_future_or_of_old_is_followed_by_a_list(
    cluster: Cluster, connection: Connection, namespace: str
) -> None:
    informer: Informer[Thing] = Informer(connection, path(namespace), decode=read_thing, rng=rng())
    informer._reflector._version = "1"  # as after a night without a connection
    cluster.create(path(namespace), document("a"))
    async with running(informer.run()):
        await eventually(lambda: informer.get(namespace, "a") is not None)


async def test_events_are_accepted_counted_and_shown(
    cluster: Cluster, connection: Connection, namespace: str
) -> None:
    thing = cluster.create(path(namespace), document("a"))
    recorder = EventRecorder(
        Client(connection),
        component="kube-test",
        instance="kube-test-1",
        clock=lambda: datetime(2030, 1, 1, tzinfo=UTC),
    )
    reference = ObjectReference("v1", "ConfigMap", namespace, "a", thing["metadata"]["uid"])
    recorder.emit(reference, "Normal", "Synced", "all is well")
    await recorder.drain()
    recorder.emit(reference, "Normal", "Synced", "all is well", "")
    recorder.emit(
        ObjectReference("v1", "Namespace", "", namespace), "Warning", "Odd", "something is odd"
    )
    await recorder.drain()
    told = [
        (
            each["involvedObject"]["name"],
            each["type"],
            each["reason"],
            each["message"],
            each["count"],
        )
        for each in cluster.get(f"/api/v1/namespaces/{namespace}/events")["items"]
        if each["source"].get("component") == "kube-test"
    ]
    assert told == [("a", "Normal", "Synced", "all is well", 2)]
    assert (
        "something is odd" in cluster.kubectl("get", "events", "-n", "default", "-o", "wide").stdout
    )
