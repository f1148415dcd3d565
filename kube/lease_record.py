"""One Lease of coordination.k8s.io on the wire: read, write with a precondition, follow. What it means is `lease.py`'s.

It asks for the least: get, watch and patch of one name, and create. A watch is allowed by name where its field selector names the object.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, Self

import msgspec
from msgspec import structs

from kube.client import LEASES, Client
from kube.errors import NotFound, from_status
from kube.rbac import Rule
from kube.wire import ObjectMeta, decode_event, decoding

MOST_TRANSITIONS = (1 << 31) - 1
GRACE_SECONDS = 30.0  # that the server may be late with ending a watch


def rules(name: str) -> tuple[Rule, ...]:
    """What is needed for the Lease of that name, in its namespace."""
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
    """Who holds it, and since when."""

    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    acquire_time: str | None = None
    renew_time: str | None = None
    lease_transitions: int | None = None

    def claimed_by(self, identity: str, duration: int, moment: datetime) -> Self:
        """The record with `identity` as its holder, newly or still, for `duration` seconds from `moment` on."""
        now = self._renewed_at(moment)
        if self.holder_identity == identity:
            return structs.replace(self, renew_time=now, lease_duration_seconds=duration)
        # The API server stores 32 bits and refuses more, so the count stops at its highest value.
        transitions = (
            0
            if self.lease_transitions is None
            else min(max(0, self.lease_transitions) + 1, MOST_TRANSITIONS)
        )
        return type(self)(identity, duration, now, now, transitions)

    def released(self, moment: datetime) -> Self:
        """The record without a holder; it has a duration because every record must."""
        now = self._renewed_at(moment)
        return type(self)("", 1, now, now, self.lease_transitions)

    def _renewed_at(self, moment: datetime) -> str:
        """`moment`, but never the one that is in the record: a write that changes nothing is dropped, and nobody would see its holder alive."""
        if _micro_time(moment) == self.renew_time:
            moment += timedelta(microseconds=1)
        return _micro_time(moment)


class Sighting(NamedTuple):
    """The record in one version."""

    version: str
    spec: LeaseSpec


class LeaseRecord:
    """The record at one place, which may be empty."""

    def __init__(self, client: Client, namespace: str, name: str) -> None:
        self._client = client
        self._namespace = namespace
        self._name = name
        self.path = LEASES.path(namespace, name)

    async def read(self, timeout_seconds: float) -> Sighting | None:
        """The record as it is now; None where there is none."""
        try:
            answer = await self._client.get(
                LEASES, self._namespace, self._name, timeout_seconds=timeout_seconds
            )
        except NotFound:
            return None
        return _read(answer)

    async def write(self, spec: LeaseSpec, version: str | None, timeout_seconds: float) -> Sighting:
        """Have the record say `spec`; what else stands in the Lease stays.

        Args:
            spec: all of it.
            version: the one that was seen; None creates the record.
            timeout_seconds: for the answer.

        Raises:
            Conflict, NotFound, AlreadyExists: it is not as it was seen.
            ApiError: it was not written, or may have been.
        """
        if version is None:
            document = {"metadata": {"name": self._name}, "spec": spec}
            answer = self._client.create(
                LEASES, self._namespace, document, timeout_seconds=timeout_seconds
            )
        else:
            patch = {"metadata": {"resourceVersion": version}, "spec": spec}
            answer = self._client.patch(
                LEASES, self._namespace, self._name, patch, timeout_seconds=timeout_seconds
            )
        return _read(await answer)

    @asynccontextmanager
    async def follow(
        self, version: str, seconds: int
    ) -> AsyncIterator[AsyncIterator[Sighting | None]]:
        """Every change after `version` as it happens, for `seconds` at most; None where the record is deleted.

        Whoever follows has a patience of his own, shorter than that.
        """
        params = {
            "fieldSelector": f"metadata.name={self._name}",
            "resourceVersion": version,
            "timeoutSeconds": str(seconds),
        }
        limit = seconds + GRACE_SECONDS
        stream = self._client.watch(
            LEASES, self._namespace, params=params, idle_seconds=limit, total_seconds=limit
        )
        async with stream as lines, aclosing(_changes(lines)) as changes:
            yield changes


def _micro_time(moment: datetime) -> str:
    """A moment as Kubernetes' MicroTime."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class _Lease(msgspec.Struct, frozen=True):
    metadata: ObjectMeta
    spec: LeaseSpec = LeaseSpec()


_decode = msgspec.json.Decoder(_Lease).decode


def _read(document: bytes | msgspec.Raw) -> Sighting:
    with decoding("the Lease"):
        lease = _decode(document)
    return Sighting(lease.metadata.resource_version, lease.spec)


async def _changes(lines: AsyncIterator[bytes]) -> AsyncGenerator[Sighting | None, None]:
    async for line in lines:
        with decoding("an event of the Lease"):
            event = decode_event(line)
        if event.type == "ERROR":
            raise from_status(event.object)
        yield None if event.type == "DELETED" else _read(event.object)
