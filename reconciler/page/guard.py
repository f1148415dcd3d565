"""Refuse requests that the page must not answer, and set the headers of every answer.

`server.py` installs it around all handlers. The page has no sign-in, so it answers only
requests for a loopback name, and JSON only to itself: another web site gets nothing,
also if its name resolves to a loopback address (DNS rebinding).
"""

from collections.abc import Awaitable, Callable

import structlog
from aiohttp import hdrs, web

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
# Scripts and styles come from the bundle only, also if an answer contained markup.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "Server": "configmapsync",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
SAME_ORIGIN = frozenset({"same-origin", "none"})
API_PREFIX = "/api/"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer a request, or refuse it with an error in JSON."""
    try:
        _check(request)
        answer = await handler(request)
    except web.HTTPException as error:  # of the check, the router or a handler
        answer = _problem(error.status, error.reason)
        if hdrs.ALLOW in error.headers:
            answer.headers[hdrs.ALLOW] = error.headers[hdrs.ALLOW]
    except Exception:  # noqa: BLE001 - a defect of the page must not reach the client as a traceback
        structlog.get_logger("page").exception("page request failed", path=request.path)
        answer = _problem(500, "internal error; the log of the reconciler has the traceback")
    answer.headers.update(HEADERS)
    return answer


def _problem(status: int, message: str) -> web.Response:
    """Return an error in JSON."""
    return web.json_response({"error": message}, status=status)


def _check(request: web.Request) -> None:
    if not _is_loopback_name(request.headers.getall(hdrs.HOST, [])):
        raise web.HTTPMisdirectedRequest(
            reason="this page answers only requests for localhost, 127.0.0.1 or [::1]"
        )
    site = request.headers.get("Sec-Fetch-Site", "none")
    if request.path.startswith(API_PREFIX) and site not in SAME_ORIGIN:
        raise web.HTTPForbidden(reason="this page does not answer requests of other web sites")


def _is_loopback_name(hosts: list[str]) -> bool:
    """Return whether exactly one Host was sent, and it is a loopback name with any port."""
    if len(hosts) != 1:
        return False
    name, colon, port = hosts[0].rpartition(":")
    if not colon or hosts[0].endswith("]"):
        name, port = hosts[0], ""
    return name.lower() in LOOPBACK_NAMES and (not port or port.isdecimal())
