"""The last four of the eight seeds (`seeds.py`)."""

import pytest

from tests.randomized.seeds import SECOND_SHARD, run_seed


@pytest.mark.timeout(1800)  # the number of runs is configurable
@pytest.mark.parametrize("seed", SECOND_SHARD)
def test_every_run_converges(seed: int) -> None:
    run_seed(seed)
