"""Books of random histories, each of which has to end well: every copy right, nothing foreign touched, nothing lost, and then silence.

A book is what follows from its number, so that a red run means a change; `make soak` tells other ones. A history that fails is printed as
statements: `shorten.py` makes it short, and `test_kept.py` keeps it. The tests are in two files, which two cores read at the same time.
"""

import os

import celpy
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.randomized.machine import Histories

FIRST = int(os.environ.get("BOOK", "0"))  # the number of the first book
HISTORIES = int(os.environ.get("HISTORIES", "2000"))  # in all eight together
FIRST_SHELF = range(FIRST, FIRST + 4)
SECOND_SHELF = range(FIRST + 4, FIRST + 8)
STEPS = 30  # of one history, at most


def read(book: int) -> None:
    """Live through every history of a book.

    Raises:
        AssertionError: one of them ended badly.
    """
    celpy.Environment()  # the first one raises Python's recursion limit, which hypothesis wants to find as it left it
    bound = settings(
        max_examples=HISTORIES // 8,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        print_blob=False,
        phases=[Phase.generate],
    )
    run_state_machine_as_test(seed(book)(type("Histories", (Histories,), {})), settings=bound)
