"""Freeze tasks, as SIGSTOP freezes a process."""

import asyncio
import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any


@types.coroutine
def freezable(
    coroutine: Coroutine[Any, Any, Any],
    is_awake: Callable[[], bool],
    wait: Callable[[], Coroutine[Any, Any, Any]],
) -> Generator[Any, Any, Any]:
    """Run a coroutine that continues only while `is_awake` returns true.

    What it waited for may happen meanwhile, and time passes: it continues with the result, or
    with the timeout, when it wakes.

    Args:
        coroutine: to run.
        is_awake: whether the coroutine may continue.
        wait: waits until the coroutine may be awake.
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
        while not is_awake():
            try:
                yield from wait().__await__()
            except asyncio.CancelledError as error:
                found = error
