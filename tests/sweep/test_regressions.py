"""Runs that broke a promise once, each with its defect."""

import pytest

from tests.sweep.sweep import failure, parse, prepare

ANOTHER_STATUS = "a status was written a minute later, only because of its lastSyncTime"


@pytest.mark.parametrize(
    "words",
    [pytest.param("rename 1:LOST_ANSWER 4:UNANSWERED seed=562", id=ANOTHER_STATUS)],
)
def test_a_run_that_broke_a_promise_keeps_it(words: str) -> None:
    prepare()
    assert failure(parse(words.split())) is None
