"""The HTTP shell: the same steps for all requests, a Status for each failure.

The steps are faults, the gate (authentication and authorization), then discovery,
reviews or resources. The answers are computed elsewhere.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import structlog
from aiohttp import web

from devcluster.access.control import Access
from devcluster.access.rbac import Attributes
from devcluster.access.review_resources import REVIEW_RESOURCES
from devcluster.access.users import User
from devcluster.errors import ApiStatus, bad_request, internal_error
from devcluster.http.calls import Answer, Call
from devcluster.http.faults import Fault, Faults
from devcluster.http.listening import Listener
from devcluster.http.negotiation import negotiate
from devcluster.http.options import ListOptions, is_true
from devcluster.http.parsing import read_body
from devcluster.http.request_attributes import request_attributes
from devcluster.http.resources import Resources
from devcluster.http.routes import NoSuchPathError, Route, find_route, no_such_resource, not_allowed
from devcluster.http.warning_headers import warning_headers
from devcluster.output import discovery, openapi
from devcluster.output.yaml_text import yaml_text
from devcluster.schema.catalog import Catalog
from devcluster.storage.store import Store
from devcluster.storage.watching import Watch

BODY_LIMIT = 3 * 1024 * 1024
HEALTH = ("/healthz", "/livez", "/readyz")
CONTROL = "/devcluster"
ANSWER_FIRST = 0.01  # seconds until a restart, for its own answer
NOT_FOUND_TEXT = "404 page not found\n"


class Server:
    """Answers every request of one cluster."""

    def __init__(
        self,
        store: Store,
        catalog: Catalog,
        resources: Resources,
        access: Access,
        faults: Faults,
        listener: Listener,
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._resources = resources
        self._access = access
        self.faults = faults
        self._listener = listener
        self._reviews = {(review.group, "v1", review.plural): review for review in REVIEW_RESOURCES}

    def application(self) -> web.Application:
        """The aiohttp application."""
        application = web.Application(client_max_size=BODY_LIMIT)
        application.router.add_route("*", "/{path:.*}", self._handle)
        return application

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        warnings: list[str] = []
        try:
            response = await self._serve(request, warnings.append)
        except ApiStatus as status:
            response = _status_response(status)
        except NoSuchPathError:
            response = web.Response(status=404, text=NOT_FOUND_TEXT)
        except web.HTTPRequestEntityTooLarge:
            message = f"Request entity too large: limit is {BODY_LIMIT}"
            response = _status_response(ApiStatus(413, "RequestEntityTooLarge", message))
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception:  # noqa: BLE001 - the outermost guard: one broken request must not end the server
            structlog.get_logger("devcluster").exception(
                "a request failed unexpectedly", path=request.path
            )
            response = _status_response(
                internal_error("an unexpected failure of devcluster; its log tells more")
            )
        if not response.prepared:
            for header in warning_headers(warnings):
                response.headers.add("Warning", header)
        return response

    async def _serve(self, request: web.Request, warn: Callable[[str], None]) -> web.StreamResponse:
        attributes = request_attributes(request.method, request.path, request.query)
        fault = self.faults.strike(attributes, request.headers.get("User-Agent", ""))
        if fault is not None and fault.action == "delay":
            await asyncio.sleep(fault.seconds)
        if fault is not None and fault.action == "fail":
            raise fault.error()
        user = self._access.gate.admit(request.headers.items(), attributes)
        response = await self._dispatch(request, attributes, user, warn)
        return _hung_up(request) if fault is not None and fault.action == "drop" else response

    async def _dispatch(
        self, request: web.Request, attributes: Attributes, user: User, warn: Callable[[str], None]
    ) -> web.StreamResponse:
        if request.path.startswith(CONTROL + "/"):
            return await self._control(request)
        if attributes.path:
            return self._non_resource(request)
        review = self._reviews.get((attributes.group, attributes.version, attributes.resource))
        if review is not None:
            if attributes.name or review.namespaced != bool(attributes.namespace):
                raise no_such_resource()
            if request.method != "POST":
                raise not_allowed()
            route = Route(review.decoded_as, attributes.namespace or None, "", "")
            return _response(self._resources.review(await self._call(request, route, user, warn)))
        call = await self._call(request, find_route(request.path, self._catalog), user, warn)
        if request.method == "GET" and not call.route.name and is_true(request.query.get("watch")):
            return await self._watch(request, call, attributes)
        return _response(await self._resources.answer(call))

    async def _call(
        self, request: web.Request, route: Route, user: User, warn: Callable[[str], None]
    ) -> Call:
        return Call(
            route=route,
            method=request.method,
            query=request.query,
            content_type=request.headers.get("Content-Type", ""),
            body=await request.read(),
            accepted=negotiate(request.headers.get("Accept", ""), tables=not route.kind.is_answer),
            user=user,
            user_agent=request.headers.get("User-Agent", ""),
            warn=warn,
        )

    async def _watch(
        self, request: web.Request, call: Call, attributes: Attributes
    ) -> web.StreamResponse:
        options = ListOptions.parse(call.query)
        watch = self._resources.watch(call, options)
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        try:
            await response.prepare(request)
            hold = self.faults.hold(attributes, call.user_agent)
            await self._stream(watch, response, hold, silent=call.accepted.form == "metadata list")
            await response.write_eof()
        except ConnectionError:
            pass  # the client has closed the connection
        finally:
            watch.close()
        return response

    async def _stream(
        self, watch: Watch, response: web.StreamResponse, hold: Callable[[], str], *, silent: bool
    ) -> None:
        """Send chunks until the end; a scripted fault holds them back or ends them early.

        A watch that requests lists of metadata gets nothing at all, as in kube-apiserver
        (`silent`).
        """
        chunks = aiter(watch.chunks())
        chunk = asyncio.ensure_future(anext(chunks, None))
        try:
            while (held := hold()) != "cut":
                if chunk.done() and not held and not silent:
                    if (content := chunk.result()) is None:
                        return
                    await response.write(content)
                    chunk = asyncio.ensure_future(anext(chunks, None))
                    continue
                changed = asyncio.ensure_future(self.faults.changed())
                await asyncio.wait(
                    {changed} if held or silent else {chunk, changed},
                    return_when=asyncio.FIRST_COMPLETED,
                )
                changed.cancel()
        finally:
            chunk.cancel()

    def _non_resource(self, request: web.Request) -> web.Response:
        """Discovery, documents and health: what has no objects."""
        path = request.path.rstrip("/") or "/"
        if path.startswith(HEALTH):
            return web.Response(text="ok")
        if path.startswith("/openapi/"):
            return self._openapi(request, path)
        if path == "/version" and request.method != "GET":
            raise not_allowed()
        kinds = discovery.kinds_with_reviews(self._catalog)
        whole = discovery.wants_aggregated(request.headers.get("Accept", ""))
        document = self._document(path, kinds, whole=whole)
        if document is None:
            raise self._nothing_at(path)
        if whole:  # clients distinguish the two forms by this header alone
            headers = {"Content-Type": discovery.AGGREGATED_MEDIA_TYPE}
            return web.Response(body=msgspec.json.encode(document), headers=headers)
        accepted = negotiate(request.headers.get("Accept", ""))
        if accepted.yaml:
            return web.Response(body=yaml_text(document), content_type="application/yaml")
        return _json(document)

    def _nothing_at(self, path: str) -> Exception:
        """Below a group that is served a Status is answered, elsewhere only text."""
        parts = path.split("/")
        group = parts[2] if parts[1] == "apis" and len(parts) > 2 else ""
        served = parts[1] == "api" or (
            group and any(kind.group == group and kind.custom is None for kind in self._catalog)
        )
        return no_such_resource() if served else NoSuchPathError(path)

    def _document(self, path: str, kinds: list[Any], *, whole: bool) -> Mapping[str, Any] | None:
        match [part for part in path.split("/") if part]:
            case []:
                return {
                    "paths": [
                        "/api",
                        "/api/v1",
                        "/apis",
                        *HEALTH,
                        "/openapi/v2",
                        "/openapi/v3",
                        "/version",
                    ]
                }
            case ["version"]:
                return discovery.VERSION
            case ["api"]:
                return (
                    discovery.aggregated(kinds, core=True) if whole else discovery.core_versions()
                )
            case ["apis"]:
                return (
                    discovery.aggregated(kinds, core=False)
                    if whole
                    else discovery.group_list(kinds)
                )
            case ["api", version]:
                return discovery.resource_list(kinds, "", version)
            case ["apis", group]:
                return discovery.group(kinds, group)
            case ["apis", group, version]:
                return discovery.resource_list(kinds, group, version)
            case _:
                return None

    def _openapi(self, request: web.Request, path: str) -> web.Response:
        kinds = list(self._catalog)
        if path == "/openapi/v2":
            return _with_etag(request, openapi.v2_document(kinds), openapi.V2_MEDIA_TYPE)
        if path == "/openapi/v3":
            return _with_etag(request, msgspec.json.encode(openapi.v3_index(kinds)), "text/plain")
        document = openapi.v3_document(path.removeprefix("/openapi/v3/"), kinds)
        if document is None:
            raise NoSuchPathError(path)
        return _with_etag(request, msgspec.json.encode(document), "application/json")

    async def _control(self, request: web.Request) -> web.Response:
        """Faults from outside; README.md says how."""
        body = read_body(await request.read() or b"{}", "", "Fault").document
        match (request.method, request.path.removeprefix(CONTROL)):
            case ("POST", "/faults"):
                self.faults.add(Fault.parse(body))
            case ("DELETE", "/faults"):
                self.faults.clear()
            case ("POST", "/compact"):
                self._store.compact()
                self._resources.lister.forget()
            case ("POST", "/restart"):
                asyncio.get_running_loop().call_later(
                    ANSWER_FIRST, self._listener.restart, _seconds(body)
                )
            case ("GET", "/faults"):
                pass
            case _:
                raise NoSuchPathError(request.path)
        active = [msgspec.to_builtins(fault) for fault in self.faults.active]
        return _json({"faults": active, "resourceVersion": str(self._store.version)})


def _seconds(body: Mapping[str, Any]) -> float:
    seconds = body.get("seconds", 0)
    if not isinstance(seconds, int | float):
        raise bad_request("seconds: not a number")
    return float(seconds)


def _hung_up(request: web.Request) -> web.Response:
    """The connection is closed without an answer."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=503)


def _status_response(status: ApiStatus) -> web.Response:
    response = _json(status.as_document(), status=status.code)
    seconds = (status.details or {}).get("retryAfterSeconds")
    if seconds is not None:
        response.headers["Retry-After"] = str(seconds)
    return response


def _response(answer: Answer) -> web.Response:
    media = "application/yaml" if answer.yaml else "application/json"
    return web.Response(status=answer.status, body=answer.body, content_type=media)


def _json(document: Mapping[str, Any], status: int = 200) -> web.Response:
    return web.Response(
        status=status, body=msgspec.json.encode(document), content_type="application/json"
    )


def _with_etag(request: web.Request, body: bytes, media: str) -> web.Response:
    tag = f'"{openapi.fingerprint(body)}"'
    if request.headers.get("If-None-Match") == tag:
        return web.Response(status=304, headers={"Etag": tag})
    return web.Response(body=body, content_type=media, headers={"Etag": tag})
