"""A cluster that is kept in a file is the same cluster when it starts again."""

import stat
from pathlib import Path

import aiohttp
import pytest

from devcluster.app import Options, serve
from harness.serving import connected, now
from tests.support.eventually import eventually

PATH = "/api/v1/namespaces/default/configmaps"


async def test_data_authority_and_token_outlive_the_process(tmp_path: Path) -> None:
    options = Options(data=tmp_path / "cluster.json")
    async with serve(options, now) as first, connected(first) as session:
        kept = {"metadata": {"name": "kept"}, "data": {"a": "b"}}
        async with session.post(PATH, json=kept) as answer:
            version = int((await answer.json())["metadata"]["resourceVersion"])

    async with serve(options, now) as again, connected(again) as session:
        async with session.get(f"{PATH}/kept") as answer:
            kept = await answer.json()
        async with session.post(PATH, json={"metadata": {"name": "new"}}) as answer:
            later = int((await answer.json())["metadata"]["resourceVersion"])

    assert again.kubeconfig["users"] == first.kubeconfig["users"]
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
    async with serve(Options(), now) as running, connected(running) as session:

        async def answers() -> bool:
            try:
                async with session.get(PATH) as answer:
                    return answer.status == 200
            except aiohttp.ClientError:
                return False

        assert await answers()
        running.restart(1.0)  # a busy machine may send the request late

        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get(PATH)
        await eventually(answers)
