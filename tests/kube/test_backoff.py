"""The delay grows with each failure of a key up to a bound, and starts again."""

from hypothesis import given, settings
from hypothesis import strategies as st

from kube.backoff import FIRST_SECONDS, JITTER, MAX_SECONDS, Backoff
from tests.kube.scripted import rng


def test_each_failure_doubles_the_wait_up_to_the_longest() -> None:
    backoff = Backoff[str](rng())
    waits = [backoff.failed("a") for _ in range(20)]
    for failures, wait in enumerate(waits):
        expected = min(MAX_SECONDS, FIRST_SECONDS * 2**failures)
        assert expected * (1 - JITTER) <= wait <= expected * (1 + JITTER)
    assert (
        len({round(wait, 6) for wait in waits[-5:]}) == 5
    )  # many that failed together do not come back together


def test_keys_wait_for_themselves_and_a_success_starts_over() -> None:
    backoff = Backoff[str](rng())
    for _ in range(10):
        backoff.failed("a")
    assert backoff.failed("b") < 2 * FIRST_SECONDS
    backoff.forget("a")
    assert backoff.failed("a") < 2 * FIRST_SECONDS
    backoff.forget("never failed")


def test_the_server_may_ask_for_more_but_not_for_less() -> None:
    backoff = Backoff[str](rng())
    assert backoff.failed("a", 7.0) == 7.0
    for _ in range(10):
        backoff.failed("a")
    assert backoff.failed("a", 7.0) > 90.0


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 5000), st.floats(0, 1e6) | st.none())
def test_a_wait_is_always_positive_and_bounded(failures: int, retry_after: float | None) -> None:
    backoff = Backoff[int](rng())
    backoff._failures[1] = failures
    assert 0 < backoff.failed(1, retry_after) <= max(MAX_SECONDS * (1 + JITTER), retry_after or 0)
