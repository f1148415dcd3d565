"""Build a request, read the body of its answer, and explain why none came.

`connection.py`, `watch_lines.py` and the plugin's `doctor` call it. It sends nothing.
Errors of aiohttp and of the system become the classes of `kube.errors` here.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from kube.errors import ApiError, Malformed, Unreachable, in_one_line

LARGE_BODY_BYTES = 1 << 19
# What aiohttp and the system raise; `TimeoutError` is an `OSError`.
TRANSPORT_ERRORS = (HttpProcessingError, aiohttp.ClientError, OSError)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A request before it is sent."""

    method: str
    path: str
    params: Mapping[str, str] | None
    accept: str
    body: bytes | None = None
    content_type: str | None = None

    @property
    def name(self) -> str:
        """Return the method and the path, which name the request in errors."""
        return f"{self.method} {self.path}"

    @property
    def query(self) -> str:
        """Return the query string with its `?`, which aiohttp encodes at more cost."""
        return f"?{urlencode(self.params)}" if self.params else ""

    def headers(self, authorization: str | None) -> dict[str, str]:
        """Return the headers that differ between requests."""
        headers = {
            "Accept": self.accept,
            "Content-Type": self.content_type,
            "Authorization": authorization,
        }
        return {name: value for name, value in headers.items() if value}

    def data(self) -> bytes | io.BytesIO | None:
        """Return the body; aiohttp sends a large one in parts, which yields to other tasks."""
        return (
            io.BytesIO(self.body) if self.body and len(self.body) > LARGE_BODY_BYTES else self.body
        )


async def read_up_to(response: aiohttp.ClientResponse, limit: int) -> bytes | None:
    """Return the body of an answer; close the connection and return None if it has more bytes."""
    if (response.content_length or 0) > limit:
        response.close()
        return None
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > limit:
            response.close()
            return None
    return bytes(body)


def as_api_error(error: Exception, what: str) -> ApiError:
    """Return `Malformed` if the answer is not HTTP, `Unreachable` for any other error.

    Args:
        error: one of `TRANSPORT_ERRORS`.
        what: names the request.
    """
    match error:
        case TimeoutError():
            return Unreachable(f"{what}: no answer in time")
        case HttpProcessingError() | aiohttp.ClientResponseError():
            return Malformed(f"{what}: the answer is not HTTP ({type(error).__name__})")
        case aiohttp.ClientPayloadError():
            return Unreachable(f"{what}: the answer broke off")
        case _:
            return Unreachable(f"{what}: {in_one_line(error)}")
