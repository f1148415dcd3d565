"""Every story keeps every promise while watches are late, deaf, cut or expired."""

from collections.abc import Callable, Iterable

import pytest

from tests.sweep.stories import STORIES
from tests.sweep.sweep import Case, schedule_cases


@pytest.mark.timeout(600)
@pytest.mark.parametrize("story", [story.name for story in STORIES])
def test_every_schedule_of_the_watches(
    story: str, execute_all: Callable[[Iterable[Case]], None]
) -> None:
    execute_all(schedule_cases(story))
