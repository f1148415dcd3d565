"""Read the files of the page, and answer requests for them.

`server.py` calls it. The files are read once, and only these names are served.
"""

import hashlib
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


class Bundle:
    """The files in memory."""

    def __init__(self, folder: Path = STATIC) -> None:
        """Read all files of a folder that a browser needs."""
        self._files = {
            file.name: file.read_bytes()
            for file in sorted(folder.iterdir())
            if file.suffix in CONTENT_TYPES
        }

    @property
    def paths(self) -> tuple[str, ...]:
        """Return the paths of all files, and the root."""
        return ("/", *(f"/{name}" for name in self._files if name != INDEX))

    async def answer(self, request: web.Request) -> web.Response:
        """Answer a request for one of `paths`."""
        name = request.path.removeprefix("/") or INDEX
        body = self._files[name]
        # The browser asks every time, so that an upgrade of the reconciler shows at once.
        headers = {
            hdrs.ETAG: f'"{hashlib.sha256(body).hexdigest()[:32]}"',
            "Cache-Control": "no-cache",
        }
        if request.headers.get(hdrs.IF_NONE_MATCH) == headers[hdrs.ETAG]:
            return web.Response(status=304, headers=headers)
        content_type = CONTENT_TYPES[Path(name).suffix]
        return web.Response(body=body, content_type=content_type, charset="utf-8", headers=headers)
