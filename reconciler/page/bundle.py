"""Serve the files of the page.

`server.py` adds the routes. The files are read when the server starts, and only their
names are served.
"""

import hashlib
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

from aiohttp import hdrs, web

STATIC = Path(__file__).parent / "static"
CONTENT_TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
INDEX = "index.html"


def file_routes() -> Iterator[web.RouteDef]:
    """Yield a route for each file that a browser needs; the index is at the root."""
    for file in STATIC.iterdir():
        if file.suffix in CONTENT_TYPES:
            path = "/" if file.name == INDEX else f"/{file.name}"
            yield web.get(path, _serving(file), allow_head=False)


def _serving(file: Path) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Return a handler for a file, which is read now and not at each request."""
    body, content_type = file.read_bytes(), CONTENT_TYPES[file.suffix]
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    # The browser asks every time, so that an upgrade of the reconciler shows at once.
    headers = {hdrs.ETAG: tag, "Cache-Control": "no-cache"}

    async def answer(request: web.Request) -> web.Response:
        if request.headers.get(hdrs.IF_NONE_MATCH) == tag:
            return web.Response(status=304, headers=headers)
        return web.Response(body=body, content_type=content_type, charset="utf-8", headers=headers)

    return answer
