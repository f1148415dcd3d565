"""Count the calls of a test, without the logs of its reconcilers."""

import logging
from collections import Counter

import pytest
import structlog

from tests.costs.scene import count_calls


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """The calls of the functions in `scene.CALLS`, counted from now on."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    return count_calls(monkeypatch)
