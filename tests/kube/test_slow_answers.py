"""Slow answers of the API server are logged, and rarely."""

import asyncio
import math
from typing import Any

import pytest
import structlog

from kube.configuration import Target
from kube.connection import Connection
from kube.credentials import Credentials

pytestmark = pytest.mark.looptime(start=0)


class Session:
    """Answers after some seconds, in virtual time."""

    status = 200
    content_length = 0

    def __init__(self) -> None:
        self.seconds = 0.0
        self.content = self

    async def request(self, *_arguments: Any, **_options: Any) -> "Session":
        await asyncio.sleep(self.seconds)
        return self

    async def __aenter__(self) -> "Session":
        return self

    async def __aexit__(self, *_error: object) -> None:
        pass

    async def iter_any(self) -> Any:
        yield b"{}"


class Source:
    """Has no newer credentials."""

    async def load(self, *, refused: bool) -> Target:
        raise AssertionError(refused)


async def test_a_slow_answer_is_logged_once_a_minute_and_a_quick_one_never() -> None:
    session: Any = Session()
    credentials = Credentials(Source(), Target("https://127.0.0.1:1"), strict=True)
    connection = Connection(credentials, session, session, math.inf, lambda *_: None)
    with structlog.testing.capture_logs() as lines:
        for seconds, pause in ((0.9, 0.0), (1.04, 1.0), (28.0, 26.0), (2.0, 1.5), (3.0, 0.0)):
            session.seconds = seconds
            await connection.request("PUT", "/things/a", body=b"{}")
            await asyncio.sleep(pause)
    slow = [line for line in lines if line["event"] == "API server answers slowly"]
    assert [(line["verb"], line["seconds"]) for line in slow] == [("PUT", 1.0), ("PUT", 3.0)]
