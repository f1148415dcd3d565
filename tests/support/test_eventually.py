import pytest

from tests.support.eventually import NotYetError, eventually, wait_until


async def test_the_result_is_returned_once_the_check_passes() -> None:
    answers = iter([False, False, "right"])

    assert await eventually(lambda: next(answers)) == "right"


async def test_an_async_check_is_awaited() -> None:
    seen: list[int] = []

    async def third_time() -> int:
        seen.append(len(seen))
        assert len(seen) == 3
        return len(seen)

    assert await eventually(third_time) == 3


async def test_a_check_that_never_passes_fails_with_its_last_error() -> None:
    def wrong() -> None:
        raise AssertionError("the copy is missing")

    with pytest.raises(AssertionError, match="the copy is missing"):
        await eventually(wrong, within=0.05)
    with pytest.raises(AssertionError, match="the copy is missing"):
        wait_until(wrong, within=0.05)


def test_an_error_that_is_no_assertion_ends_the_wait_at_once() -> None:
    def broken() -> None:
        raise LookupError("a mistake in the test")

    with pytest.raises(LookupError):
        wait_until(broken)


def test_a_check_that_returns_false_is_called_again() -> None:
    with pytest.raises(NotYetError):
        wait_until(lambda: False, within=0.05)
