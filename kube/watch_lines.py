"""Read the lines of a watch from an HTTP response.

`connection.py` calls it. The API server sends an event in several pieces, and waking up
for each piece costs more CPU than handling the event. After lines that changed nothing,
reading rests for 10 to 50 ms, unless there is a backlog.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable

import aiohttp

from kube.client import ANSWER_BYTES
from kube.errors import Malformed, Silent, Unreachable
from kube.http_messages import TRANSPORT_ERRORS, as_api_error

# The rests between readings that change nothing; each is twice as long as the previous one. The
# last one is the longest delay of a line. At 100 events a second it halves the CPU of a watch.
FIRST_REST_SECONDS, MAX_REST_SECONDS = 0.01, 0.05
# So much within one rest is a backlog. Rests would limit reading to some 8 MB a second, and a watch
# that cannot follow is delayed more and more, until the API server ends it.
BACKLOG_BYTES = 128 << 10


async def read_lines(
    response: aiohttp.ClientResponse, what: str, may_rest: Callable[[], bool]
) -> AsyncGenerator[bytes, None]:
    """Yield the lines of a response, each with its line feed.

    Args:
        response: its body is still unread.
        what: names the request in errors.
        may_rest: returns whether the line that was yielded last changed nothing.

    Raises:
        Malformed: a line is longer than any answer.
        Silent: no byte came within the `sock_read` of the response.
        Unreachable: the response broke off, or ended in the middle of a line.
    """
    begun = bytearray()  # the line that is not complete
    rest, arrived = FIRST_REST_SECONDS, 0
    while chunk := await _read(response, what):
        arrived += len(chunk)
        begin = 0
        while end := chunk.find(b"\n", begin) + 1:
            line = bytes(begun) + chunk[begin:end]
            _check_length(len(line), what)
            yield line
            begun.clear()
            begin = end
        begun += chunk[begin:]
        _check_length(len(begun), what)
        if begun:
            continue
        if may_rest() and arrived < BACKLOG_BYTES:
            await _pause(response, rest)
            rest = min(MAX_REST_SECONDS, 2 * rest)
        else:
            rest = FIRST_REST_SECONDS
        arrived = 0
    if begun:
        raise Unreachable(f"{what}: the answer ended in the middle of a line")


async def _read(response: aiohttp.ClientResponse, what: str) -> bytes:
    try:
        return await response.content.readany()
    except aiohttp.SocketTimeoutError as error:
        raise Silent(f"{what}: no byte within the idle timeout") from error
    except TRANSPORT_ERRORS as error:
        raise as_api_error(error, what) from error


def _check_length(length: int, what: str) -> None:
    if length > ANSWER_BYTES:
        raise Malformed(f"{what}: a line has more than {ANSWER_BYTES} bytes")


async def _pause(response: aiohttp.ClientResponse, seconds: float) -> None:
    """Let what arrives wait in the socket."""
    transport = _transport(response)
    if transport is None or transport.is_closing():
        return
    # A paused TLS transport still reads into its own buffer, up to a limit. Both event loops have
    # the method; without it a pause only saves less.
    limit_buffer = getattr(transport, "set_read_buffer_limits", lambda **_limits: None)
    limit_buffer(high=1)
    transport.pause_reading()
    try:
        await asyncio.sleep(seconds)
    finally:
        if not transport.is_closing():
            limit_buffer()
            transport.resume_reading()


def hang_up(response: aiohttp.ClientResponse) -> None:
    """Abort the connection of a watch: a TLS shutdown would wait for a peer that may be gone."""
    transport = _transport(response)
    if transport is not None:
        transport.abort()


def _transport(response: aiohttp.ClientResponse) -> asyncio.Transport | None:
    return response.connection.transport if response.connection is not None else None
