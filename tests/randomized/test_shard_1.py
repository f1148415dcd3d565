"""Four of the eight books of histories (`books.py`)."""

import pytest

from tests.randomized.seeds import FIRST_SHELF, read


@pytest.mark.timeout(1800)  # there are as many histories as are asked for
@pytest.mark.parametrize("book", FIRST_SHELF)
def test_every_run_converges(book: int) -> None:
    read(book)
