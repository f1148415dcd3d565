"""Execute runs for a test, and record their number for `tests/conftest.py`."""

from collections.abc import Callable, Iterable

import pytest

from tests.conftest import SWEEP_RUNS
from tests.sweep.sweep import Case, execute


@pytest.fixture
def execute_all(record_property: Callable[[str, object], None]) -> Callable[[Iterable[Case]], None]:
    """Execute runs, count them, and fail with all that broke a promise."""

    def run(cases: Iterable[Case]) -> None:
        count, failures = execute(cases)
        record_property(SWEEP_RUNS, count)
        assert count, "this sweep is empty"
        assert not failures, f"{len(failures)} of {count} runs\n" + "\n\n".join(failures[:5])

    return run
