"""Read, write and watch one Lease of coordination.k8s.io.

`leader_election.py` decides what to write, and `plugin/doctor/` reads the holder. Every
write has a precondition. A watch by name is allowed if its field selector names the
object, so the rights are get, watch and patch of one name, and create.
"""

from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, Self

import msgspec

from kube.client import LEASES, ApiServer, Client
from kube.errors import NotFound
from kube.rbac import Rule
from kube.wire import ObjectMeta, decode_as, read_event

MAX_TRANSITIONS = (1 << 31) - 1  # the API server stores 32 bits
GRACE_SECONDS = 30.0  # by which the API server may be late to end a watch


def rules(name: str) -> tuple[Rule, ...]:
    """Return the rights for the Lease of that name, in its namespace."""
    return (
        Rule(
            "leases",
            ("create",),
            group=LEASES.group,
            why="a right to create cannot name what there is not yet",
        ),
        Rule("leases", ("get", "watch", "patch"), group=LEASES.group, names=(name,)),
    )


class LeaseSpec(msgspec.Struct, rename="camel", frozen=True):
    """The holder and its times."""

    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    acquire_time: str | None = None
    renew_time: str | None = None
    lease_transitions: int | None = None

    def claimed_by(self, identity: str, duration: int, moment: datetime) -> Self:
        """Return the record with `identity` as its holder for `duration` seconds from `moment`."""
        now = self._renewed_at(moment)
        if self.holder_identity == identity:
            return msgspec.structs.replace(self, renew_time=now, lease_duration_seconds=duration)
        transitions = -1 if self.lease_transitions is None else max(0, self.lease_transitions)
        return type(self)(identity, duration, now, now, min(transitions + 1, MAX_TRANSITIONS))

    def released(self, moment: datetime) -> Self:
        """Return the record without a holder; the API server requires a duration."""
        now = self._renewed_at(moment)
        return type(self)("", 1, now, now, self.lease_transitions)

    def _renewed_at(self, moment: datetime) -> str:
        """Return `moment`, or a later one: the API server drops a write without a change."""
        if _micro_time(moment) == self.renew_time:
            moment += timedelta(microseconds=1)
        return _micro_time(moment)


class Sighting(NamedTuple):
    """The record, in one version."""

    version: str
    spec: LeaseSpec


class LeaseRecord:
    """A Lease, which may not exist."""

    def __init__(self, connection: ApiServer, namespace: str, name: str) -> None:
        self._connection = connection
        self._client = Client(connection)
        self._namespace = namespace
        self._name = name
        self.path = LEASES.path(namespace, name)

    async def read(self, timeout_seconds: float) -> Sighting | None:
        """Return the record; None if it does not exist."""
        try:
            answer = await self._client.get(
                LEASES, self._namespace, self._name, timeout_seconds=timeout_seconds
            )
        except NotFound:
            return None
        return _read(answer)

    async def write(self, spec: LeaseSpec, version: str | None, timeout_seconds: float) -> Sighting:
        """Write the spec; other parts of the Lease stay as they are.

        Args:
            spec: all of it.
            version: that was seen; None creates the Lease.
            timeout_seconds: for the answer.

        Raises:
            Conflict, NotFound, AlreadyExists: the Lease is not as it was seen.
            ApiError: the write failed; it may have been carried out.
        """
        if version is None:
            document = {"metadata": {"name": self._name}, "spec": spec}
            answer = await self._client.create(
                LEASES, self._namespace, document, timeout_seconds=timeout_seconds
            )
        else:
            patch = {"metadata": {"resourceVersion": version}, "spec": spec}
            answer = await self._client.patch(
                LEASES, self._namespace, self._name, patch, timeout_seconds=timeout_seconds
            )
        return _read(answer)

    async def follow(self, version: str, seconds: int) -> AsyncGenerator[Sighting | None, None]:
        """Watch the changes after `version`, for at most `seconds`; a deletion is None."""
        params = {
            "watch": "true",
            "fieldSelector": f"metadata.name={self._name}",
            "resourceVersion": version,
            "timeoutSeconds": str(seconds),
        }
        limit = seconds + GRACE_SECONDS
        path = LEASES.path(self._namespace)
        stream = self._connection.stream(
            path, params=params, idle_timeout=limit, total_timeout=limit
        )
        async with stream as lines:
            async for line in lines:
                event = read_event(line, f"GET {path}")
                yield None if event.kind == "DELETED" else _read(event.item)


def _micro_time(moment: datetime) -> str:
    """Return a moment in the format of Kubernetes' MicroTime."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class _Lease(msgspec.Struct, frozen=True):
    metadata: ObjectMeta
    spec: LeaseSpec = LeaseSpec()


def _read(document: bytes | msgspec.Raw) -> Sighting:
    lease = decode_as(document, _Lease, "the Lease")
    return Sighting(lease.metadata.resource_version, lease.spec)
