"""The whole story of a run: a CA, trusted by the API server, then a pair signed by it.

Four steps that each do nothing when nothing is due; `rotation.py` decides and `cluster.py` or `directory.py` stores. What `ensure`
would do, without doing it, is told by `inspection.py`.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from certs import rotation
from certs.authority import KeyPair, names_of
from certs.material import Material, OutdatedError, Store, Stored
from certs.rotation import Decision, Order, Renewal

log = structlog.stdlib.get_logger()

# Each round lost means that another run has won one, and after the first the others find nothing left to do.
ATTEMPTS = 20

Clock = Callable[[], datetime]


class Publisher(Protocol):
    """Whoever must trust the CA before anything signed by it is served."""

    async def publish(self, authorities: bytes, now: datetime) -> tuple[object, ...]:
        """Put `authorities` first where they must be trusted; return the places that had to be changed."""


class UnsettledError(Exception):
    """Other writers never left the material alone for long enough."""


@dataclass(frozen=True, slots=True)
class Ensurer:
    """One run, and all it needs."""

    store: Store
    publisher: Publisher
    order: Order
    clock: Clock
    settling: timedelta  # the API servers' time to hear of a changed bundle before a pair is served that needs it
    renewal: Renewal = Renewal.DUE

    async def ensure(self) -> Material:
        """Make everything right and return it.

        Raises:
            NotOursError: the place is taken by something that this tool did not make.
            UnsettledError: others keep writing there.
            ApiError: the API server refused or did not answer; the next run carries on where this one stopped.
        """
        for _ in range(ATTEMPTS):
            try:
                return await self._ensure_once()
            except OutdatedError:
                log.info("another run was faster, looking again", place=self.store.place)
        raise UnsettledError(f"{self.store.place} was changed by others {ATTEMPTS} times in a row")

    async def _ensure_once(self) -> Material:
        stored = await self._with_authority(await self.store.load())
        for place in await self.publisher.publish(stored.material.authorities, self.clock()):
            log.info("trust published", place=str(place))
        return (await self._with_serving_pair(stored)).material

    async def _with_authority(self, stored: Stored) -> Stored:
        now = self.clock()
        decision = self._asked(Renewal.ALL) or rotation.authority_due(stored.material, now)
        if not decision.renew:
            log.info("authority kept", why=decision.reason)
            return stored
        renewed = rotation.with_new_authority(stored.material, self.order, now)
        saved = await self.store.save(renewed, stored.version)
        log.info(
            "authority made",
            place=self.store.place,
            why=decision.reason,
            **_told(renewed.authorities, renewed.authority_key),
        )
        return saved

    async def _with_serving_pair(self, stored: Stored) -> Stored:
        asked = self._asked(Renewal.CERTIFICATE)
        decision = asked or rotation.serving_due(stored.material, self.order, self.clock())
        if not decision.renew:
            log.info("certificate kept", why=decision.reason)
            return stored
        if rotation.trust_is_new(stored.material):
            await asyncio.sleep(self.settling.total_seconds())
        renewed = rotation.with_new_serving_pair(stored.material, self.order, self.clock())
        saved = await self.store.save(renewed, stored.version)
        log.info(
            "certificate made",
            place=self.store.place,
            why=decision.reason,
            **_told(renewed.certificate, renewed.key),
        )
        return saved

    def _asked(self, renewal: Renewal) -> Decision | None:
        return Decision(renew=True, reason="was asked for") if self.renewal is renewal else None


class NobodyToTell:
    """A publisher for directories: whoever reads the directory reads its `ca.crt` too."""

    async def publish(self, authorities: bytes, now: datetime) -> tuple[object, ...]:  # noqa: ARG002 - the protocol's
        """Do nothing."""
        return ()


def _told(certificate: bytes, key: bytes) -> dict[str, str]:
    """Describe a pair in words that may be logged."""
    made = KeyPair.parse(certificate, key).certificate
    return {
        "serial": f"{made.serial_number:x}",
        "expires": made.not_valid_after_utc.isoformat(),
        "names": ", ".join(names_of(made)),
    }
