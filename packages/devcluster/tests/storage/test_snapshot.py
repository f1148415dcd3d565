"""A cluster that is kept in a file is the same cluster when it starts again."""

import datetime as dt
import stat
from pathlib import Path

import aiohttp
import pytest

from devcluster.app import Options, serve
from tests.support.eventually import eventually

PATH = "/api/v1/namespaces/default/configmaps"


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)  # noqa: TID251 - certificates and tokens expire by the real clock


async def test_data_authority_and_token_outlive_the_process(tmp_path: Path) -> None:
    options = Options(tls=False, data=tmp_path / "cluster.json")
    async with serve(options, now) as first:
        token = first.kubeconfig["users"][0]["user"]["token"]
        headers = {"Authorization": f"Bearer {token}"}
        async with (
            aiohttp.ClientSession(first.url, headers=headers, raise_for_status=True) as session,
            session.post(PATH, json={"metadata": {"name": "kept"}, "data": {"a": "b"}}) as answer,
        ):
            version = int((await answer.json())["metadata"]["resourceVersion"])

    async with (
        serve(options, now) as again,
        aiohttp.ClientSession(again.url, headers=headers, raise_for_status=True) as session,
    ):
        async with session.get(f"{PATH}/kept") as answer:
            kept = await answer.json()
        async with session.post(PATH, json={"metadata": {"name": "new"}}) as answer:
            later = int((await answer.json())["metadata"]["resourceVersion"])

    assert kept["data"] == {"a": "b"}
    assert kept["metadata"]["resourceVersion"] == str(version)
    assert later > version


async def test_clients_that_trust_the_authority_still_do_after_a_restart(tmp_path: Path) -> None:
    options = Options(data=tmp_path / "cluster.json")
    async with serve(options, now) as first:
        before = first.kubeconfig["clusters"][0]["cluster"]["certificate-authority-data"]
    async with serve(options, now) as again:
        assert again.kubeconfig["clusters"][0]["cluster"]["certificate-authority-data"] == before
    assert stat.S_IMODE((tmp_path / "cluster.json").stat().st_mode) == 0o600


async def test_a_file_that_is_no_snapshot_is_named(tmp_path: Path) -> None:
    (tmp_path / "cluster.json").write_text("{")

    with pytest.raises(ValueError, match=r"cluster\.json is no snapshot"):
        async with serve(Options(data=tmp_path / "cluster.json"), now):
            pass


async def test_connections_are_refused_while_it_restarts_and_the_address_stays() -> None:
    async with serve(Options(tls=False), now) as running:
        headers = {"Authorization": f"Bearer {running.kubeconfig['users'][0]['user']['token']}"}
        async with aiohttp.ClientSession(running.url, headers=headers) as session:

            async def answers() -> bool:
                try:
                    async with session.get(PATH) as answer:
                        return answer.status == 200
                except aiohttp.ClientError:
                    return False

            assert await answers()
            running.restart(0.3)

            with pytest.raises(aiohttp.ClientConnectorError):
                await session.get(PATH)
            await eventually(answers)
