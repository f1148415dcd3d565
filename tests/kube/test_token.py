"""A token is loaded again in time and after a refusal, and the old one serves while none can be had."""

import asyncio

import pytest

from kube.token import LOADED_WITHIN, RELOAD_AFTER, Token

pytestmark = pytest.mark.looptime(start=0)


class Source:
    """Gives what the test has put there, and counts how often it was asked."""

    def __init__(self) -> None:
        self.next: str | Exception | None = None
        self.asked: list[bool] = []
        self.seconds = 0.0

    async def load(self, refused: bool) -> str | None:
        self.asked.append(refused)
        await asyncio.sleep(self.seconds)
        if isinstance(self.next, Exception):
            raise self.next
        return self.next


async def test_a_token_is_stripped_of_what_files_add() -> None:
    source = Source()
    token = Token("Bearer first\n", source.load)
    assert await token.value() == "Bearer first"
    source.next = "Bearer second\r\n"
    await asyncio.sleep(RELOAD_AFTER)
    assert await token.value() == "Bearer second"


async def test_it_is_loaded_again_after_a_minute_and_not_before() -> None:
    source = Source()
    token = Token("first", source.load)
    source.next = "second"
    await asyncio.sleep(RELOAD_AFTER - 1)
    assert await token.value() == "first"
    assert source.asked == []
    await asyncio.sleep(1)
    assert await token.value() == "second"
    assert await token.value() == "second"
    assert source.asked == [False]


@pytest.mark.parametrize(
    "trouble", [None, "", FileNotFoundError("gone for a moment"), ValueError("plugin said no")]
)
async def test_the_old_one_serves_while_no_other_can_be_had(
    trouble: str | Exception | None,
) -> None:
    source = Source()
    token = Token("first", source.load)
    source.next = trouble
    await asyncio.sleep(RELOAD_AFTER)
    assert await token.value() == "first"
    assert await token.after_refusal_of("first") == "first"
    source.next = "second"
    await asyncio.sleep(RELOAD_AFTER)
    assert await token.value() == "second"


async def test_a_refusal_has_it_loaded_at_once_and_once_for_all_who_were_refused() -> None:
    source = Source()
    token = Token("first", source.load)
    source.next = "second"
    source.seconds = 1.0
    assert (
        await asyncio.gather(*(token.after_refusal_of("first") for _ in range(10)))
        == ["second"] * 10
    )
    assert source.asked == [True]
    assert await token.value() == "second"


@pytest.mark.parametrize("trouble", [None, "first", ValueError("plugin said no")])
async def test_who_was_refused_together_waits_for_one_load_also_where_it_brings_nothing_new(
    trouble: str | Exception | None,
) -> None:
    """A plugin may take long to fail: one run after the other would outlast every request."""
    source = Source()
    token = Token("first", source.load)
    source.next = trouble
    source.seconds = 1.0
    assert (
        await asyncio.gather(*(token.after_refusal_of("first") for _ in range(20)))
        == ["first"] * 20
    )
    assert source.asked == [True]
    source.next = "second"
    assert await token.after_refusal_of("first") == "second"


async def test_one_that_grew_old_is_loaded_once_however_many_ask() -> None:
    source = Source()
    token = Token("first", source.load)
    source.next = "second"
    source.seconds = 1.0
    await asyncio.sleep(RELOAD_AFTER)
    values = await asyncio.gather(*(token.value() for _ in range(10)))
    assert set(values) <= {"first", "second"}
    assert source.asked == [False]


async def test_a_plugin_that_hangs_does_not_hold_us_for_ever() -> None:
    source = Source()
    token = Token("first", source.load)
    source.seconds = 3600
    await asyncio.sleep(RELOAD_AFTER)
    began = asyncio.get_running_loop().time()
    assert await token.value() == "first"
    assert asyncio.get_running_loop().time() - began == LOADED_WITHIN


async def test_what_goes_wrong_is_logged_without_its_text(
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = Source()
    token = Token("first", source.load)
    source.next = ValueError("plugin printed hunter2")
    assert await token.after_refusal_of("first") == "first"
    logged = capsys.readouterr()
    assert "cannot be loaded again" in logged.out + logged.err
    assert "hunter2" not in logged.out + logged.err
