"""Freeze tasks, as SIGSTOP freezes a process."""

import asyncio
import types
from collections.abc import Coroutine, Generator
from typing import Any


@types.coroutine
def freezable(
    coroutine: Coroutine[Any, Any, Any], awake: asyncio.Event
) -> Generator[Any, Any, Any]:
    """Run a coroutine that continues only while `awake` is set.

    What it waited for may happen meanwhile, and time passes: it continues with the result, or
    with the timeout, when it wakes.
    """
    found: BaseException | None = None
    while True:
        try:
            awaited = coroutine.send(None) if found is None else coroutine.throw(found)
        except StopIteration as end:
            return end.value
        found = None
        try:
            yield awaited
        except BaseException as error:  # noqa: BLE001 - it is raised inside of the coroutine
            found = error
        while not awake.is_set():
            try:
                yield from awake.wait().__await__()
            except asyncio.CancelledError as error:
                found = error
