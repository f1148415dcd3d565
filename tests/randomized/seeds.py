"""Run the random runs of a seed; each must converge and then stay quiet.

A seed determines its runs, so a red test means a change of the code; `make soak` takes
other seeds. Two test files share the seeds, so that two cores run them in parallel. For
a failed run, `shorten.py` finds a shorter one, and `test_regressions.py` keeps it.
"""

import os

import celpy
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.randomized.machine import RandomRuns

FIRST_SEED = int(os.environ.get("SEED", "0"))  # the first of eight seeds
RUNS = int(os.environ.get("RUNS", "2000"))  # of all eight seeds together
FIRST_SHARD = range(FIRST_SEED, FIRST_SEED + 4)
SECOND_SHARD = range(FIRST_SEED + 4, FIRST_SEED + 8)
STEPS = 30  # of one run, at most


def run_seed(number: int, machine: type[RandomRuns] = RandomRuns, runs: int = RUNS // 8) -> None:
    """Execute every run of a seed.

    Args:
        number: the seed.
        machine: the rules.
        runs: how many.

    Raises:
        AssertionError: a run did not converge, or broke a rule.
    """
    # The first environment raises Python's recursion limit, and hypothesis fails if the limit
    # changes during a run.
    celpy.Environment()
    bound = settings(
        max_examples=runs,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        print_blob=False,
        phases=[Phase.generate],
    )
    run_state_machine_as_test(seed(number)(type(machine.__name__, (machine,), {})), settings=bound)
