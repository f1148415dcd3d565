"""Who answers requests and watches: a `Connection`, or whatever stands in for an API server.

Whoever only asks says so by taking this in place of a `Connection`; what a request is, and what it raises, is told there.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Protocol


class ApiServer(Protocol):
    """Answers as an API server does."""

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
        timeout: float = 30.0,  # noqa: ASYNC109 - as in `Connection`
        max_bytes: int = 20 << 20,
    ) -> bytes:
        """Carry out one request; returns the whole body of its answer."""

    def stream(
        self,
        path: str,
        *,
        params: Mapping[str, str],
        accept: str = "application/json",
        idle_timeout: float,
        total_timeout: float,
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Open a watch, whose lines come one by one."""
