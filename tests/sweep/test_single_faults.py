"""Every story, with every fault at every request, keeps every promise."""

from collections.abc import Callable, Iterable, Iterator

import pytest

from tests.randomized.fault_plan import FaultKind
from tests.sweep.run import requests_of
from tests.sweep.stories import STORIES
from tests.sweep.sweep import Case, prepare, single_faults

NAMES = tuple(story.name for story in STORIES)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("story", NAMES)
def test_every_fault_at_every_request(
    story: str, execute_all: Callable[[Iterable[Case]], None]
) -> None:
    execute_all(single_faults(story))


def test_the_faults_hit_reads_and_writes_of_every_kind() -> None:
    prepare()
    met = set(_met(NAMES))
    for kind in FaultKind:
        assert any(kind is fault for fault, _ in met), f"no request meets {kind.name}"
    expected = {"GET", "WATCH", "POST", "PUT", "PATCH", "DELETE"}
    assert {method for _, method in met} == expected


def _met(stories: Iterable[str]) -> Iterator[tuple[FaultKind, str]]:
    for story in stories:
        requests = requests_of(story)
        for case in single_faults(story):
            for strike in case.disturbance.strikes:
                yield strike.kind, requests[strike.number].method
