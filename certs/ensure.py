"""Run the whole tool: a CA, trust in it, a pair that it signed, and a secret path.

`__main__.py` calls `ensure`. Each of its five steps does nothing if nothing is due:
`rotation.py` decides, `secret_store.py` or `directory.py` stores, `trust.py` publishes,
and `pods.py` finds the webhook pods that lag behind. The next run finishes a run, or a
revocation, that ended between two writes.
"""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial

import structlog
from cryptography import x509

from certs import rotation
from certs.authority import names_of
from certs.material import Material, OutdatedError, Store, Stored
from certs.pods import ServicePods
from certs.rotation import Decision, Order, Renewal
from certs.trust import Trust

# Each conflict means that another run has made progress, so few runs need many attempts.
ATTEMPTS = 20

POLL_SECONDS = 2.0
TOKEN_BYTES = 32

ASKED_FOR = Decision(renew=True, reason="was asked for")


class UnsettledError(Exception):
    """The run could not end: other runs keep writing, or pods serve old material."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """What this run must renew on request.

    Each method returns whether a part is still to be renewed: neither this run nor a parallel
    one has renewed it since `before`.
    """

    renewal: Renewal
    before: Material

    def authority(self, material: Material) -> bool:
        if self.renewal is Renewal.REVOKE and rotation.revokes(self.before):
            return False  # this run resumes a revocation
        return self.renewal.everything and (
            rotation.current_authority(material) == rotation.current_authority(self.before)
        )

    def certificate(self, material: Material) -> bool:
        return (
            self.renewal is Renewal.CERTIFICATE and material.certificate == self.before.certificate
        )

    def token(self, material: Material) -> bool:
        return self.renewal.everything and material.path_token == self.before.path_token


@dataclass(frozen=True, slots=True)
class Ensurer:
    """One run.

    Attributes:
        store: keeps the material.
        trust: the webhook configurations; None to leave them and the path token alone.
        pods: the pods that serve the material; None if they cannot be asked.
        order: the wanted material.
        clock: returns the current time.
        settling: time for every API server to see a changed webhook configuration.
        patience: longest time for every pod to serve a changed Secret.
        renewal: what to renew.
    """

    store: Store
    trust: Trust | None
    pods: ServicePods | None
    order: Order
    clock: Callable[[], datetime]
    settling: timedelta
    patience: timedelta
    renewal: Renewal = Renewal.DUE
    _log: structlog.stdlib.BoundLogger = field(
        init=False, repr=False, default_factory=partial(structlog.get_logger, "ensure")
    )

    async def ensure(self) -> Material:
        """Make or renew what is due, publish it, and return it.

        Raises:
            ForeignObjectError: the store holds objects that this tool did not create.
            UnsettledError: other runs keep writing, or pods serve old material; the next run
                continues.
            ApiError: the API server returned an error or did not answer; the next run
                continues.
            OSError: the directory of the store cannot be read or written.
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
                self._log.info(
                    "another run wrote in between, reading again", location=self.store.location
                )
        raise UnsettledError(f"other runs changed {self.store.location} {ATTEMPTS} times in a row")

    async def _ensure_once(self, stored: Stored, asked: _Asked) -> Stored:
        served_before = rotation.still_serves(stored.material, self.clock())
        stored = await self._with_authority(stored, asked)
        await self._publish_trust(stored)
        stored = await self._with_serving_pair(stored, asked)
        await self._publish_path(stored, served_before)
        return await self._without_leftovers(stored, served_before)

    async def _with_authority(self, stored: Stored, asked: _Asked) -> Stored:
        now, material = self.clock(), stored.material
        decision = ASKED_FOR if asked.authority(material) else rotation.authority_due(material, now)
        if decision.renew:
            material = rotation.with_new_authority(material, self.order, now)
            if asked.renewal is Renewal.REVOKE:
                seen = await self.trust.bundles() if self.trust else b""
                material = rotation.with_old_authorities_revoked(material, seen, now)
        if material.authority_files() == stored.authority.files:
            self._log.info("authority kept", why=decision.reason)
            return stored
        saved = await self.store.save_authority(material, stored)
        facts = _facts(self.store, material.authorities)
        if decision.renew:
            self._log.info("authority made", why=decision.reason, **facts)
        else:
            self._log.info("authority moved to a store of its own", **facts)
        return saved

    async def _publish_trust(self, stored: Stored) -> None:
        """Publish the bundle.

        Then read the store again, because a parallel run may have revoked a CA of the bundle.
        """
        if self.trust is None:
            return
        material = stored.material
        changed = await self.trust.publish(
            material.authorities, rotation.distrusted(material), self.clock()
        )
        for configuration in changed:
            self._log.info("trust published", location=str(configuration))
        if changed and (await self.store.load()).authority != stored.authority:
            raise OutdatedError

    async def _with_serving_pair(self, stored: Stored, asked: _Asked) -> Stored:
        material = stored.material
        decision = (
            ASKED_FOR
            if asked.certificate(material)
            else rotation.serving_due(material, self.order, self.clock())
        )
        if decision.renew and rotation.trust_is_new(material):
            await self._settle()
        now = self.clock()
        material = await self._with_token(material, asked, now)
        if decision.renew:
            material = rotation.with_new_serving_pair(material, self.order, now)
        saved = await self._save_serving(material, stored)
        if decision.renew:
            facts = _facts(self.store, material.certificate)
            self._log.info("certificate made", why=decision.reason, **facts)
        else:
            self._log.info("certificate kept", why=decision.reason)
        if material.path_token != stored.material.path_token:
            self._log.info("path token changed", location=self.store.location)
        return saved

    async def _with_token(self, material: Material, asked: _Asked, now: datetime) -> Material:
        """Return the material with the path token that is due; unchanged without `trust`.

        A store that has lost its token gets the one of the published paths. A token that was
        asked for is not replaced while the previous one is still served.
        """
        due = rotation.token_due(material, self.order).renew
        wanted = self._token_asked(material, asked) or (
            self.order.unguessable_path
            and rotation.revokes(material)
            and rotation.trust_is_new(material)
        )
        if self.trust is None or not (due or (wanted and material.previous_path_token is None)):
            return material
        if not self.order.unguessable_path:
            return rotation.with_new_token(material, b"", now)
        if not wanted and (known := rotation.token_in_use(await self.trust.tokens())) is not None:
            return replace(material, path_token=known)
        return rotation.with_new_token(material, secrets.token_hex(TOKEN_BYTES).encode(), now)

    def _token_asked(self, material: Material, asked: _Asked) -> bool:
        return self.trust is not None and self.order.unguessable_path and asked.token(material)

    async def _publish_path(self, stored: Stored, served_before: bool) -> None:
        """Publish the path after every pod that can be reached serves it."""
        if self.trust is None:
            return
        material = stored.material
        published = await self.trust.tokens()
        if published <= {material.path_token}:
            return
        if None in published and material.previous_path_token is not None:
            await self.trust.publish_path(material.previous_path_token, only_missing=True)
        if served_before:
            await self._wait_for_pods(material)
        for configuration in await self.trust.publish_path(material.path_token):
            self._log.info("path published", location=str(configuration))

    async def _without_leftovers(self, stored: Stored, served_before: bool) -> Stored:
        """Drop revoked CAs and the previous path token when no pod needs them."""
        material, now = stored.material, self.clock()
        if rotation.revokes(material):
            if served_before:
                await self._wait_for_pods(material)
            stored = await self.store.save_authority(
                rotation.without_revoked(material, now), stored
            )
            self._log.info("revoked authorities dropped", location=self.store.location)
            await self._publish_trust(stored)
        if stored.material.previous_path_token is not None and served_before:
            await self._settle()
        return await self._save_serving(replace(stored.material, previous_path_token=None), stored)

    async def _save_serving(self, material: Material, stored: Stored) -> Stored:
        if material.serving_files() == stored.serving.files:
            return stored
        return await self.store.save_serving(material, stored)

    async def _wait_for_pods(self, material: Material) -> None:
        """Wait until every pod serves the pair and the path.

        Pods that cannot be reached within `patience` are logged and ignored. Without a way to
        find the pods, wait for `settling`.

        Raises:
            UnsettledError: a pod still serves another pair or path after `patience`.
        """
        if self.pods is None:
            await self._settle()
            return
        clock = asyncio.get_running_loop().time
        deadline = clock() + self.patience.total_seconds()
        while any(lagging := await self.pods.lagging(material)):
            if clock() >= deadline:
                break
            await asyncio.sleep(POLL_SECONDS)
        if lagging.outdated:
            raise UnsettledError(
                "these webhook pods do not serve the new certificate and path yet: "
                f"{', '.join(lagging.outdated[:10])}; the old ones stay valid and the next run "
                "continues"
            )
        if lagging.unreachable:
            self._log.warning(
                "webhook pods cannot be reached, continuing without them",
                pods=lagging.unreachable[:10],
            )

    async def _settle(self) -> None:
        await asyncio.sleep(self.settling.total_seconds())


def _facts(store: Store, pem: bytes) -> dict[str, str]:
    """Return the log fields of a certificate, or of the first one of a bundle."""
    made = x509.load_pem_x509_certificate(pem)
    return {
        "location": store.location,
        "serial": f"{made.serial_number:x}",
        "expires": made.not_valid_after_utc.isoformat(),
        "names": ", ".join(names_of(made)),
    }
