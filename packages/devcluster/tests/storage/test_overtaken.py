"""Webhooks take time, and other writes happen meanwhile: none of them is lost."""

import asyncio

import pytest
from aiohttp import web

from harness.scripted import World, endpoints_of

CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
MERGE = {"Content-Type": "application/merge-patch+json"}


async def slowly(request: web.Request) -> web.StreamResponse:
    """Allow after all other writers have had the time to call."""
    review = await request.json()
    await asyncio.sleep(0.05)
    response = {"uid": review["request"]["uid"], "allowed": True}
    return web.json_response(
        {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "response": response}
    )


@pytest.fixture
async def guarded(webhook, client):
    """A server whose ConfigMaps are guarded by a slow webhook."""
    async with endpoints_of(webhook) as endpoints:
        world = World(webhook, endpoints)
        world.add("Validating", "v")
        webhook.answers["v"] = [slowly]
        guard = {"apiVersion": "admissionregistration.k8s.io/v1", **world.validating[0]}
        created = await client.post(
            "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations", json=guard
        )
        assert created.status == 201
        document = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {}}
        assert (await client.post(CONFIGMAPS, json=document)).status == 201
        yield client


async def test_patches_of_different_keys_all_arrive(guarded):
    async def patch(key: str) -> int:
        answer = await guarded.patch(f"{CONFIGMAPS}/a", json={"data": {key: "x"}}, headers=MERGE)
        return answer.status

    assert set(await asyncio.gather(*(patch(f"k{index}") for index in range(4)))) == {200}
    stored = await (await guarded.get(f"{CONFIGMAPS}/a")).json()
    assert set(stored["data"]) == {"k0", "k1", "k2", "k3"}


async def test_of_two_replacements_of_one_version_one_wins(guarded):
    seen = await (await guarded.get(f"{CONFIGMAPS}/a")).json()
    written = [seen | {"data": {"by": name}} for name in ("one", "two")]
    answers = await asyncio.gather(
        *(guarded.put(f"{CONFIGMAPS}/a", json=document) for document in written)
    )
    assert sorted(answer.status for answer in answers) == [200, 409]


async def test_of_two_creations_of_one_name_one_wins(guarded):
    document = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b"}}
    answers = await asyncio.gather(*(guarded.post(CONFIGMAPS, json=document) for _ in range(2)))
    assert sorted(answer.status for answer in answers) == [201, 409]


async def test_an_object_deleted_meanwhile_is_not_brought_back(guarded):
    patching = asyncio.create_task(
        guarded.patch(f"{CONFIGMAPS}/a", json={"data": {"k": "x"}}, headers=MERGE)
    )
    deleted = await guarded.delete(f"{CONFIGMAPS}/a")
    assert deleted.status == 200
    await patching
    assert (await guarded.get(f"{CONFIGMAPS}/a")).status == 404
