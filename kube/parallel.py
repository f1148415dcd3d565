"""Ask several things at once."""

import asyncio
from collections.abc import Awaitable, Iterable
from typing import TypeVar

Result = TypeVar("Result")


async def all_of(questions: Iterable[Awaitable[Result]]) -> list[Result]:
    """Wait for every answer, then raise the first failure there is: no question is left behind with nobody listening."""
    answers = await asyncio.gather(*questions, return_exceptions=True)
    results: list[Result] = []
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
        results.append(answer)
    return results
