"""A typed client: read and write objects by kind, namespace and name.

The caches list and watch through `ApiServer`; almost every other part uses `Client`,
which builds the path, headers and preconditions of a request. It must not decode, cache
or retry: an answer goes to the caller as bytes, an error as `kube.errors` defines it.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, cast

import msgspec

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"
# A list needs the list type. A watch that asks for the list type stays silent without an error.
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
REQUEST_SECONDS = 30.0
# The largest answer and the largest watch event. etcd stores objects of 1.5 MiB by default, and
# the API server escapes "<" as six bytes, so an object can have 9 MiB in an answer; the rest is
# for clusters with a higher limit.
ANSWER_BYTES = 20 << 20

Result = TypeVar("Result")


class ApiServer(Protocol):
    """Carries out requests: a `Connection`, the plan's simulated cluster, or a test's stand-in."""

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = JSON,
        accept: str = JSON,
        timeout: float = REQUEST_SECONDS,  # noqa: ASYNC109 - aiohttp's name
        max_bytes: int = ANSWER_BYTES,
    ) -> bytes:
        """Send one request and return the whole body of its answer."""

    def stream(
        self,
        path: str,
        *,
        params: Mapping[str, str],
        accept: str = JSON,
        idle_timeout: float,
        total_timeout: float,
        may_rest: Callable[[], bool] = lambda: False,
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Open a watch and yield its lines."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of object, as the API server serves it.

    Attributes:
        group: API group; empty for the core group.
        version: of the API, such as `v1`.
        plural: the resource name in paths and RBAC rules.
    """

    group: str
    version: str
    plural: str

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """Return the path of an object, or of a collection if `name` is empty.

        Args:
            namespace: empty for cluster-scoped objects and for the collection of all namespaces.
            name: of the object.
            subresource: such as `status`.
        """
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        place = f"/namespaces/{namespace}" if namespace else ""
        rest = "".join(f"/{part}" for part in (name, subresource) if part)
        return f"{root}{place}/{self.plural}{rest}"


CONFIGMAPS = Kind("", "v1", "configmaps")
ENDPOINT_SLICES = Kind("discovery.k8s.io", "v1", "endpointslices")
EVENTS = Kind("", "v1", "events")
LEASES = Kind("coordination.k8s.io", "v1", "leases")
MUTATING_WEBHOOKS = Kind("admissionregistration.k8s.io", "v1", "mutatingwebhookconfigurations")
NAMESPACES = Kind("", "v1", "namespaces")
SECRETS = Kind("", "v1", "secrets")
SERVICE_ACCOUNTS = Kind("", "v1", "serviceaccounts")
SUBJECT_ACCESS_REVIEWS = Kind("authorization.k8s.io", "v1", "subjectaccessreviews")
VALIDATING_WEBHOOKS = Kind("admissionregistration.k8s.io", "v1", "validatingwebhookconfigurations")


class Client:
    """Reads and writes objects over one connection.

    Every method raises `ApiError` if the request fails. A write that raises `Unreachable` may
    have been carried out.
    `metadata_only` asks for an answer without the object's content, which is smaller and faster.
    """

    def __init__(self, connection: ApiServer, *, field_manager: str = "") -> None:
        """Use `connection` for every request.

        Args:
            connection: carries out the requests.
            field_manager: owner of the fields that this client writes; if empty, the API server
                uses the user agent.
        """
        self._connection = connection
        self._writing = {"fieldManager": field_manager} if field_manager else {}

    async def get(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        *,
        metadata_only: bool = False,
        timeout_seconds: float = REQUEST_SECONDS,
    ) -> bytes:
        """Return one object."""
        return await self._connection.request(
            "GET",
            kind.path(namespace, name),
            accept=METADATA if metadata_only else JSON,
            timeout=timeout_seconds,
        )

    async def list(
        self,
        kind: Kind,
        namespace: str = "",
        *,
        params: Mapping[str, str] | None = None,
        max_bytes: int = ANSWER_BYTES,
    ) -> bytes:
        """Return the objects of one namespace, or of all namespaces if it is empty.

        Args:
            kind: of the objects.
            namespace: where the objects are.
            params: of the list, such as `labelSelector`, `fieldSelector`, `limit` and `continue`.
            max_bytes: of the answer; a larger one raises `AnswerTooLarge`.
        """
        return await self._connection.request(
            "GET", kind.path(namespace), params=params, max_bytes=max_bytes
        )

    async def create(
        self,
        kind: Kind,
        namespace: str,
        document: Any,
        *,
        metadata_only: bool = False,
        dry_run: bool = False,
        timeout_seconds: float = REQUEST_SECONDS,
    ) -> bytes:
        """Create an object and return it as stored; with `dry_run` the API server only admits it.

        Raises:
            AlreadyExists: the name is taken.
        """
        return await self._connection.request(
            "POST",
            kind.path(namespace),
            params=self._writing | ({"dryRun": "All"} if dry_run else {}),
            body=msgspec.json.encode(document),
            accept=METADATA if metadata_only else JSON,
            timeout=timeout_seconds,
        )

    async def put(
        self, kind: Kind, namespace: str, name: str, document: Any, *, metadata_only: bool = False
    ) -> bytes:
        """Replace an object and return it as stored.

        Raises:
            Conflict: the object does not have the `resourceVersion` in `document`.
        """
        return await self._connection.request(
            "PUT",
            kind.path(namespace, name),
            params=self._writing,
            body=msgspec.json.encode(document),
            accept=METADATA if metadata_only else JSON,
        )

    async def patch(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        patch: Any,
        *,
        subresource: str = "",
        metadata_only: bool = False,
        timeout_seconds: float = REQUEST_SECONDS,
    ) -> bytes:
        """Apply a merge patch and return the object as stored.

        Raises:
            Conflict: the object does not have the `resourceVersion` or `uid` in `patch`.
        """
        return await self._connection.request(
            "PATCH",
            kind.path(namespace, name, subresource),
            params=self._writing,
            body=msgspec.json.encode(patch),
            content_type=MERGE_PATCH,
            accept=METADATA if metadata_only else JSON,
            timeout=timeout_seconds,
        )

    async def delete(
        self, kind: Kind, namespace: str, name: str, *, uid: str, resource_version: str
    ) -> None:
        """Delete an object if it is still the one that the caller has read.

        Raises:
            Conflict: the object has another UID or version.
        """
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": uid, "resourceVersion": resource_version},
        }
        await self._connection.request(
            "DELETE", kind.path(namespace, name), body=msgspec.json.encode(options), accept=METADATA
        )


async def all_of(requests: Iterable[Awaitable[Result]]) -> list[Result]:
    """Await all requests at once and return their results.

    If some fail, the first failure is raised after the last request has ended.
    """
    awaited = list(requests)
    if len(awaited) == 1:
        return [await awaited[0]]  # without a task
    answers = await asyncio.gather(*awaited, return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
    return cast("list[Result]", answers)
