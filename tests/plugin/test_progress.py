"""The progress line appears after a second, and is cleared at the end."""

import asyncio
import contextlib
import io

import pytest

from plugin.progress import CLEAR_LINE, Progress


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


async def work(stream: io.StringIO, seconds: float) -> str:
    async with Progress(stream) as progress:
        progress.step("reading ConfigMapSyncs")
        progress.did(1500)
        await asyncio.sleep(seconds)
    return stream.getvalue()


@pytest.mark.looptime
async def test_fast_work_shows_nothing() -> None:
    assert await work(Terminal(), 0.9) == ""


@pytest.mark.looptime
async def test_slow_work_shows_its_step_and_count_and_clears_the_line() -> None:
    shown = await work(Terminal(), 2.0)
    assert shown.startswith(f"{CLEAR_LINE}reading ConfigMapSyncs (1,500) ...")
    assert shown.endswith(CLEAR_LINE)


@pytest.mark.looptime
async def test_a_log_file_gets_few_lines_and_no_control_characters() -> None:
    shown = await work(io.StringIO(), 15.0)
    assert shown == "reading ConfigMapSyncs (1,500) ...\n" * 2


@pytest.mark.looptime
async def test_an_error_ends_the_progress() -> None:
    stream = Terminal()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(3), Progress(stream):
            await asyncio.sleep(10)
    before = stream.getvalue()
    await asyncio.sleep(5)
    assert stream.getvalue() == before
