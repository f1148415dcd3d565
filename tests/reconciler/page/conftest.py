"""The fixture of the page's tests."""

from collections.abc import AsyncIterator

import pytest

from tests.reconciler.page.bench import Bench, FakeElector, serving


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    """A page of a leader over empty caches."""
    async with serving(FakeElector()) as made:
        yield made
