"""Random pairs of disturbances; `make soak` executes more of them."""

import itertools
from collections.abc import Callable, Iterable

import pytest

from tests.sweep.sweep import Case, parse, random_cases

SEEDS = range(8)
RUNS = 50  # of each seed


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", SEEDS)
def test_random_pairs(seed: int, execute_all: Callable[[Iterable[Case]], None]) -> None:
    execute_all(itertools.islice(random_cases(seed), RUNS))


def test_the_words_of_a_run_name_the_same_run() -> None:
    for case in itertools.islice(random_cases(0), 20):
        assert parse(str(case).split()) == case
