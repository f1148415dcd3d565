"""Scripted faults: the action, the requests that it hits, and how often.

`server.py` asks before and after each request. Tests set faults over HTTP (README.md)
or as objects in the same process.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

import msgspec

from devcluster.access.rbac import Attributes
from devcluster.errors import ApiStatus, bad_request

REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    409: "Conflict",
    410: "Expired",
    413: "RequestEntityTooLarge",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}
WRITES = ("create", "update", "patch", "delete", "deletecollection")
OF_WATCHES = ("freeze", "cut")


@dataclass(slots=True, eq=False)
class Fault:
    """One thing that goes wrong.

    Attributes:
        action: `fail` (answer `status`), `delay` (wait `seconds`, then carry on), `drop` (carry
            out the request and close the connection without an answer), `freeze` (a watch stays
            open and sends nothing), `cut` (a watch ends at once).
        verb, resource, namespace, name: which requests to hit; empty matches all. The verb
            `write` matches every write.
        user_agent: how the client's name for itself begins; empty matches all.
        status: of a `fail`.
        message: of a `fail`.
        retry_after: seconds, of a `fail`.
        seconds: of a `delay`.
        skip: how many matching requests pass first.
        times: how many are hit then; 0 is all.
        hits: how many requests matched, hit or not.
    """

    action: Literal["fail", "delay", "drop", "freeze", "cut"]
    verb: str = ""
    resource: str = ""
    namespace: str = ""
    name: str = ""
    user_agent: str = ""
    status: int = 500
    message: str = "a scripted fault"
    retry_after: int | None = None
    seconds: float = 0.0
    skip: int = 0
    times: int = 0
    hits: int = 0

    @classmethod
    def parse(cls, document: Any) -> "Fault":
        """Read one from JSON.

        Raises:
            ApiStatus: 400.
        """
        unknown = (
            set(document) - {field.name for field in fields(cls)}
            if isinstance(document, Mapping)
            else set()
        )
        if unknown:
            raise bad_request(f"not a fault: unknown {', '.join(sorted(unknown))}")
        try:
            return msgspec.convert(document, cls)
        except msgspec.ValidationError as error:
            raise bad_request(f"not a fault: {error}") from error

    def matches(self, request: Attributes, user_agent: str) -> bool:
        """Whether it is meant for such a request."""
        verbs = WRITES if self.verb == "write" else (self.verb,)
        if self.action in OF_WATCHES and request.verb != "watch":
            return False
        return (
            (not self.verb or request.verb in verbs)
            and (not self.resource or request.resource == self.resource)
            and (not self.namespace or request.namespace == self.namespace)
            and (not self.name or request.name == self.name)
            and user_agent.startswith(self.user_agent)
        )

    def strikes(self) -> bool:
        """Count a matching request; whether it is hit."""
        self.hits += 1
        return self.hits > self.skip and (not self.times or self.hits <= self.skip + self.times)

    def error(self) -> ApiStatus:
        """What a `fail` answers."""
        details = {"retryAfterSeconds": self.retry_after} if self.retry_after is not None else None
        return ApiStatus(self.status, REASONS.get(self.status, ""), self.message, details)


class Faults:
    """All faults that are set, and the watches they hold."""

    def __init__(self) -> None:
        self.active: list[Fault] = []
        self._changed = asyncio.Event()

    def add(self, fault: Fault) -> Fault:
        """Set one; running watches feel a `freeze` or `cut` at once."""
        self.active.append(fault)
        self._wake()
        return fault

    def clear(self) -> None:
        """All is well again; frozen watches go on."""
        self.active.clear()
        self._wake()

    def strike(self, request: Attributes, user_agent: str) -> Fault | None:
        """Return the first fault that hits this request; `hold` has those of running watches."""
        for fault in self.active:
            if (
                fault.action not in OF_WATCHES
                and fault.matches(request, user_agent)
                and fault.strikes()
            ):
                return fault
        return None

    def hold(self, request: Attributes, user_agent: str) -> Callable[[], str]:
        """Return a function for a running watch: `freeze`, `cut` or nothing. It counts once."""
        struck: dict[Fault, bool] = {}

        def now() -> str:
            for fault in self.active:
                if fault.action in OF_WATCHES and fault.matches(request, user_agent):
                    if fault not in struck:
                        struck[fault] = fault.strikes()
                    if struck[fault]:
                        return fault.action
            return ""

        return now

    async def changed(self) -> None:
        """Return when faults were set or cleared."""
        await self._changed.wait()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
