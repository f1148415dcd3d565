"""Thousands of random histories, each of which has to end well: every copy right, nothing foreign touched, nothing lost, and then silence."""

import celpy
import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.histories.machine import Histories

BOOKS = 8  # test items, so that cores share the work
HISTORIES = 60  # in each
STEPS = 20  # of each at most


@pytest.fixture(autouse=True)
def _recursion_limit() -> None:
    """The first CEL environment raises Python's recursion limit, which hypothesis wants to find as it left it."""
    celpy.Environment()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("book", range(BOOKS))
def test_whatever_happened_every_copy_is_right_in_the_end(book: int) -> None:
    bound = settings(
        max_examples=HISTORIES,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        print_blob=False,
        phases=[Phase.generate],
    )
    machine = seed(book)(type("Histories", (Histories,), {}))
    run_state_machine_as_test(machine, settings=bound)
