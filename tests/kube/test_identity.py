"""Credentials are loaded again in time and after a refusal."""

import asyncio

import pytest

from kube.configuration import LOAD_SECONDS, Target
from kube.credentials import RELOAD_SECONDS, Credentials

pytestmark = pytest.mark.looptime(start=0)
HOST = "https://127.0.0.1:1"


class Source:
    """Returns what the test has put there, and counts the loads."""

    def __init__(self) -> None:
        self.next: str | Exception | None = None
        self.loads: list[bool] = []
        self.seconds = 0.0

    async def load(self, *, refused: bool) -> Target:
        self.loads.append(refused)
        await asyncio.sleep(self.seconds)
        if isinstance(self.next, Exception):
            raise self.next
        return Target(HOST, authorization="first" if self.next is None else self.next)


async def credentials(source: Source) -> Credentials:
    return Credentials(source, Target(HOST, authorization="first"), strict=True)


async def header(loaded: Credentials) -> str | None:
    return (await loaded.current()).authorization


async def replace_refused(loaded: Credentials) -> str | None:
    refused = (await loaded.current())._replace(authorization="first")
    return (await loaded.replace_refused(refused)).authorization


async def test_they_are_loaded_again_after_a_minute_and_not_before() -> None:
    source = Source()
    loaded = await credentials(source)
    source.next = "second"
    await asyncio.sleep(RELOAD_SECONDS - 1)
    assert await header(loaded) == "first"
    assert source.loads == []
    await asyncio.sleep(1)
    assert await header(loaded) == "second"
    assert await header(loaded) == "second"
    assert source.loads == [False]


@pytest.mark.parametrize(
    "trouble", [None, "", FileNotFoundError("gone for a moment"), ValueError("plugin said no")]
)
async def test_the_old_ones_serve_while_no_others_can_be_loaded(
    trouble: str | Exception | None,
) -> None:
    source = Source()
    loaded = await credentials(source)
    source.next = trouble
    await asyncio.sleep(RELOAD_SECONDS)
    assert await header(loaded) == "first"
    assert await replace_refused(loaded) == "first"
    source.next = "second"
    await asyncio.sleep(RELOAD_SECONDS)
    assert await header(loaded) == "second"


async def test_requests_that_are_refused_together_share_one_load() -> None:
    source = Source()
    loaded = await credentials(source)
    source.next = "second"
    source.seconds = 1.0
    assert await asyncio.gather(*(replace_refused(loaded) for _ in range(10))) == ["second"] * 10
    assert source.loads == [True]
    assert await header(loaded) == "second"


@pytest.mark.parametrize("trouble", [None, "first", ValueError("plugin said no")])
async def test_they_share_it_also_if_it_brings_nothing_new(
    trouble: str | Exception | None,
) -> None:
    """A plugin may take long to fail: one run after the other would outlast every request."""
    source = Source()
    loaded = await credentials(source)
    source.next = trouble
    source.seconds = 1.0
    assert await asyncio.gather(*(replace_refused(loaded) for _ in range(20))) == ["first"] * 20
    assert source.loads == [True]
    source.next = "second"
    assert await replace_refused(loaded) == "second"


async def test_old_credentials_are_loaded_once_for_all_requests() -> None:
    source = Source()
    loaded = await credentials(source)
    source.next = "second"
    source.seconds = 1.0
    await asyncio.sleep(RELOAD_SECONDS)
    values = await asyncio.gather(*(header(loaded) for _ in range(10)))
    assert set(values) <= {"first", "second"}
    assert source.loads == [False]


async def test_a_plugin_that_hangs_is_given_up() -> None:
    source = Source()
    loaded = await credentials(source)
    source.seconds = 3600
    await asyncio.sleep(RELOAD_SECONDS)
    began = asyncio.get_running_loop().time()
    assert await header(loaded) == "first"
    assert asyncio.get_running_loop().time() - began == LOAD_SECONDS


async def test_a_failure_is_logged_without_its_text(capsys: pytest.CaptureFixture[str]) -> None:
    source = Source()
    loaded = await credentials(source)
    source.next = ValueError("plugin printed hunter2")
    assert await replace_refused(loaded) == "first"
    logged = capsys.readouterr()
    assert "cannot reload the credentials" in logged.out + logged.err
    assert "hunter2" not in logged.out + logged.err
