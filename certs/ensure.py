"""A whole run: a CA, trusted by the API server, a pair signed by it, and a path that only the API server knows.

Five steps, each of which does nothing if nothing is due. `rotation.py` decides, `cluster.py` or `directory.py` stores, and
`pods.py` finds the webhook pods that lag behind. A run that ends between two writes is finished by the next run, and so is
a revocation. `inspection.py` says what `ensure` would do.
"""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from certs import rotation
from certs.authority import KeyPair, names_of
from certs.material import Material, OutdatedError, Published, Store, Stored
from certs.pods import Lagging
from certs.rotation import Decision, Order, Renewal

log = structlog.stdlib.get_logger()

# Each lost round means that another run has won one, and after the first the others find nothing left to do.
ATTEMPTS = 20

LOOK_AGAIN_SECONDS = 2.0
TOKEN_BYTES = 32

Clock = Callable[[], datetime]


class Publisher(Protocol):
    """What must trust the CA and know the path before the webhook depends on either."""

    async def publish(
        self, authorities: bytes, without: bytes, now: datetime
    ) -> tuple[object, ...]:
        """Put `authorities` first in every bundle and drop those of `without`; return the changed places."""

    async def publish_path(self, token: bytes, *, only_missing: bool = False) -> tuple[object, ...]:
        """Put the token before the path of every webhook; return the changed places."""

    async def seen(self) -> Published:
        """Return what is published now."""


class Pods(Protocol):
    """The processes that serve the material."""

    async def lagging(self, material: Material) -> Lagging:
        """Return the pods that do not serve the material yet."""


class UnsettledError(Exception):
    """The run could not end: others keep writing, or pods do not serve what is new."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """How long a run waits.

    Attributes:
        settling: time for every API server to see a change of a webhook configuration.
        patience: longest time for every pod to serve a change of the Secret.
    """

    settling: timedelta
    patience: timedelta


class _Asked:
    """What this run was asked to make anew, and whether that was done by this run or by a parallel one."""

    def __init__(self, renewal: Renewal, before: Material) -> None:
        self.renewal = renewal
        self._before = before
        self._resumes = renewal is Renewal.REVOKE and rotation.revokes(before)

    def authority(self, material: Material) -> bool:
        if self.renewal not in (Renewal.ALL, Renewal.REVOKE) or self._resumes:
            return False
        return rotation.current_authority(material) == rotation.current_authority(self._before)

    def certificate(self, material: Material) -> bool:
        return (
            self.renewal is Renewal.CERTIFICATE and material.certificate == self._before.certificate
        )

    def token(self, material: Material) -> bool:
        if self.renewal not in (Renewal.ALL, Renewal.REVOKE):
            return False
        return material.path_token == self._before.path_token


@dataclass(frozen=True, slots=True)
class Ensurer:
    """One run, and all it needs.

    Attributes:
        store: where the material is kept.
        publisher: what must trust the CA and know the path; None if that is not this tool's business.
        pods: what serves the material; None if it cannot be asked, as the readers of a directory.
        order: what the material must be like.
        clock: returns the time.
        waiting: how long to wait, and for what.
        renewal: what to make anew.
    """

    store: Store
    publisher: Publisher | None
    pods: Pods | None
    order: Order
    clock: Clock
    waiting: Waiting
    renewal: Renewal = Renewal.DUE

    async def ensure(self) -> Material:
        """Make everything right and return it.

        Raises:
            NotOursError: the place is taken by something that this tool did not make.
            UnsettledError: others keep writing, or pods do not serve the new material; the next run carries on.
            ApiError: the API server refused or did not answer; the next run carries on.
        """
        asked: _Asked | None = None
        for _ in range(ATTEMPTS):
            try:
                stored = await self.store.load()
                asked = asked or _Asked(self.renewal, stored.material)
                stored = await self._ensure_once(stored, asked)
                if not self._token_asked(stored.material, asked):
                    return stored.material
            except OutdatedError:
                log.info("another run wrote in between, looking again", place=self.store.place)
        raise UnsettledError(f"{self.store.place} was changed by others {ATTEMPTS} times in a row")

    async def _ensure_once(self, stored: Stored, asked: _Asked) -> Stored:
        served_before = rotation.still_serves(stored.material, self.clock())
        stored = await self._with_authority(stored, asked)
        await self._publish_trust(stored)
        stored = await self._with_serving_pair(stored, asked)
        await self._publish_path(stored, served_before)
        return await self._without_leftovers(stored, served_before)

    async def _with_authority(self, stored: Stored, asked: _Asked) -> Stored:
        now, material = self.clock(), stored.material
        if asked.authority(material):
            decision = Decision(renew=True, reason="was asked for")
        else:
            decision = rotation.authority_due(material, now)
        if decision.renew:
            material = rotation.with_new_authority(material, self.order, now)
            if asked.renewal is Renewal.REVOKE:
                seen = (await self.publisher.seen()).bundles if self.publisher else b""
                material = rotation.with_old_authorities_revoked(material, seen, now)
        if material.authority_files() == stored.authority.files:
            log.info("authority kept", why=decision.reason)
            return stored
        saved = await self.store.save_authority(material, stored)
        facts = _facts(self.store, material.authorities, material.authority_key)
        if decision.renew:
            log.info("authority made", why=decision.reason, **facts)
        else:
            log.info("authority moved to a store of its own", **facts)
        return saved

    async def _publish_trust(self, stored: Stored) -> None:
        """Publish the bundle. A parallel run may have revoked a CA of it meanwhile, so the store is read again."""
        if self.publisher is None:
            return
        material = stored.material
        changed = await self.publisher.publish(
            material.authorities, rotation.distrusted(material), self.clock()
        )
        for place in changed:
            log.info("trust published", place=str(place))
        if changed and (await self.store.load()).authority != stored.authority:
            raise OutdatedError

    async def _with_serving_pair(self, stored: Stored, asked: _Asked) -> Stored:
        material = stored.material
        if asked.certificate(material):
            decision = Decision(renew=True, reason="was asked for")
        else:
            decision = rotation.serving_due(material, self.order, self.clock())
        if decision.renew and rotation.trust_is_new(material):
            await self._settle()
        now = self.clock()
        material = await self._with_token(material, asked, now)
        if decision.renew:
            material = rotation.with_new_serving_pair(material, self.order, now)
        if material.serving_files() == stored.serving.files:
            log.info("certificate kept", why=decision.reason)
            return stored
        saved = await self.store.save_serving(material, stored)
        if decision.renew:
            facts = _facts(self.store, material.certificate, material.key)
            log.info("certificate made", why=decision.reason, **facts)
        else:
            log.info("certificate kept", why=decision.reason)
        if material.path_token != stored.material.path_token:
            log.info("path token changed", place=self.store.place)
        return saved

    async def _with_token(self, material: Material, asked: _Asked, now: datetime) -> Material:
        """Add or replace the path token. A change that is under way is finished first."""
        due = rotation.token_due(material, self.order).renew
        wanted = self._token_asked(material, asked) or (
            self.order.unguessable_path and rotation.revokes_served_pair(material)
        )
        if self.publisher is None or not (due or (wanted and material.previous_path_token is None)):
            return material
        if not self.order.unguessable_path:
            return rotation.with_new_token(material, b"", now)
        if not wanted and (known := rotation.token_in_use(await self.publisher.seen())) is not None:
            return replace(material, path_token=known)
        return rotation.with_new_token(material, secrets.token_hex(TOKEN_BYTES).encode(), now)

    def _token_asked(self, material: Material, asked: _Asked) -> bool:
        return self.publisher is not None and self.order.unguessable_path and asked.token(material)

    async def _publish_path(self, stored: Stored, served_before: bool) -> None:
        """Publish the path once every pod answers there."""
        if self.publisher is None:
            return
        material = stored.material
        published = (await self.publisher.seen()).tokens
        if published <= {material.path_token}:
            return
        if None in published and material.previous_path_token is not None:
            await self.publisher.publish_path(material.previous_path_token, only_missing=True)
        if served_before:
            await self._wait_for_pods(material)
        for place in await self.publisher.publish_path(material.path_token):
            log.info("path published", place=str(place))

    async def _without_leftovers(self, stored: Stored, served_before: bool) -> Stored:
        """Drop revoked CAs and the previous path, once nothing needs them any more."""
        material, now = stored.material, self.clock()
        if rotation.revokes(material):
            if served_before:
                await self._wait_for_pods(material)
            stored = await self.store.save_authority(
                rotation.without_revoked(material, now), stored
            )
            log.info("revoked authorities dropped", place=self.store.place)
            await self._publish_trust(stored)
        if stored.material.previous_path_token is not None:
            if served_before:
                await self._settle()
            stored = replace(stored, material=replace(stored.material, previous_path_token=None))
        if stored.material.serving_files() == stored.serving.files:
            return stored
        return await self.store.save_serving(stored.material, stored)

    async def _wait_for_pods(self, material: Material) -> None:
        """Wait until every pod serves the pair and the path.

        Raises:
            UnsettledError: a pod still serves something else after all the patience.
        """
        if self.pods is None:
            await self._settle()
            return
        clock = asyncio.get_running_loop().time
        deadline = clock() + self.waiting.patience.total_seconds()
        while lagging := await self.pods.lagging(material):
            if clock() >= deadline:
                break
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
        if lagging.outdated:
            raise UnsettledError(
                f"these webhook pods do not serve the new certificate and path yet: {', '.join(lagging.outdated[:10])}; "
                "nothing was taken away; the next run carries on"
            )
        if lagging.unreachable:
            log.warning(
                "webhook pods cannot be reached, going on without them",
                pods=lagging.unreachable[:10],
            )

    async def _settle(self) -> None:
        await asyncio.sleep(self.waiting.settling.total_seconds())


def _facts(store: Store, certificate: bytes, key: bytes) -> dict[str, str]:
    """Describe a pair in words that may be logged."""
    made = KeyPair.parse(certificate, key).certificate
    return {
        "place": store.place,
        "serial": f"{made.serial_number:x}",
        "expires": made.not_valid_after_utc.isoformat(),
        "names": ", ".join(names_of(made)),
    }
