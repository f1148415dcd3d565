"""Every run converges: after a crash at any write, in parallel, and with slow pods.

The store, the API server and two webhook pods are in memory. A pod serves what it read
last, and reads again only after the tool has asked a few times. After each write, the
API server must be able to call every pod.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature

from certs import rotation
from certs.bundle import authorities_in, merge
from certs.ensure import Ensurer, UnsettledError
from certs.material import Material, OutdatedError, Part, Stored
from certs.pods import Lagging
from certs.rotation import Order, Renewal

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
ORDER = Order(("webhook.system.svc",), timedelta(days=300), timedelta(days=30))
SETTLING, PATIENCE = timedelta(seconds=5), timedelta(minutes=4)
MOST_WRITES = 16

pytestmark = pytest.mark.looptime(start=0)


class CrashError(Exception):
    """The process was killed."""


@dataclass
class Pod:
    """A webhook process: it serves what it read last."""

    files: Mapping[str, bytes]
    reads_after: int
    asked: int = 0

    def accepts(self, token: bytes) -> bool:
        current = self.files.get("path-token", b"")
        return token in {current, self.files.get("previous-path-token", current)}


@dataclass
class World:
    """A cluster: two parts of a store, what the API server knows, and the pods."""

    authority: Part = field(default_factory=Part)
    serving: Part = field(default_factory=Part)
    bundle: bytes = b""
    token: bytes | None = None
    pods: list[Pod] = field(default_factory=list)
    writes: int = 0
    crash_after: int = 0

    def wrote(self) -> None:
        self.writes += 1
        self.check()
        if self.writes == self.crash_after:
            raise CrashError

    def check(self) -> None:
        """Fail if the API server cannot call a pod."""
        if self.token is None:
            return  # nothing is registered yet, or an upgrade has taken the path away
        for pod in self.pods:
            [certificate] = x509.load_pem_x509_certificates(pod.files["tls.crt"])
            assert any(
                _signed(certificate, authority) for authority in authorities_in(self.bundle)
            ), "not trusted"
            assert pod.accepts(self.token), "no such path"

    location = "memory"

    async def load(self) -> Stored:
        await asyncio.sleep(0)
        files = self.authority.files or self.serving.files
        return Stored(Material.from_files(files, self.serving.files), self.authority, self.serving)

    async def save_authority(self, material: Material, stored: Stored) -> Stored:
        await asyncio.sleep(0)
        if stored.authority.version != self.authority.version:
            raise OutdatedError
        self.authority = Part(secrets.token_hex(8), material.authority_files())
        self.wrote()
        return Stored(material, self.authority, stored.serving)

    async def save_serving(self, material: Material, stored: Stored) -> Stored:
        await asyncio.sleep(0)
        if stored.serving.version != self.serving.version:
            raise OutdatedError
        self.serving = Part(secrets.token_hex(8), material.serving_files())
        for pod in self.pods:
            if pod.reads_after == 0:
                pod.files = dict(self.serving.files)
        self.wrote()
        return Stored(material, stored.authority, self.serving)

    async def publish(
        self, authorities: bytes, without: bytes, now: datetime
    ) -> tuple[object, ...]:
        await asyncio.sleep(0)
        wanted = merge(authorities, self.bundle, now, without)
        if wanted == self.bundle:
            return ()
        self.bundle = wanted
        self.wrote()
        return ("bundle",)

    async def publish_path(self, token: bytes, *, only_missing: bool = False) -> tuple[object, ...]:
        await asyncio.sleep(0)
        if self.token == token or (only_missing and self.token is not None):
            return ()
        self.token = token
        self.wrote()
        return ("path",)

    async def bundles(self) -> bytes:
        return self.bundle

    async def tokens(self) -> frozenset[bytes | None]:
        return frozenset({self.token})

    async def lagging(self, material: Material) -> Lagging:
        outdated = []
        for number, pod in enumerate(self.pods):
            pod.asked += 1
            if pod.asked >= pod.reads_after and self.serving.files:
                pod.files, pod.asked = dict(self.serving.files), 0
            if pod.files["tls.crt"] != material.certificate or not pod.accepts(material.path_token):
                outdated.append(str(number))
        return Lagging(outdated, [])

    def run(self, renewal: Renewal = Renewal.DUE) -> Ensurer:
        return Ensurer(self, self, self, ORDER, lambda: NOW, SETTLING, PATIENCE, renewal)

    @property
    def stored(self) -> Material:
        return Material.from_files(self.authority.files, self.serving.files)


def _signed(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _pods(files: Mapping[str, bytes]) -> list[Pod]:
    return [Pod(files, reads_after=0), Pod(files, reads_after=4)]


async def fresh() -> World:
    return World()


async def of_version_0_1_0() -> World:
    """One Secret with everything in it, and plain paths."""
    made = rotation.with_new_serving_pair(
        rotation.with_new_authority(Material(), ORDER, NOW), ORDER, NOW
    )
    files = {**made.authority_files(), **made.serving_files()}
    return World(serving=Part("0", files), bundle=made.authorities, token=b"", pods=_pods(files))


async def upgraded() -> World:
    """The same after `kubectl apply` of manifests that name no path any more."""
    return replace(await of_version_0_1_0(), token=None)


async def installed() -> World:
    world = World()
    await world.run().ensure()
    return replace(world, pods=_pods(world.serving.files), writes=0)


def assert_in_order(world: World) -> None:
    material = world.stored
    assert not rotation.authority_due(material, NOW).renew
    assert not rotation.serving_due(material, ORDER, NOW).renew
    assert set(world.serving.files) == {"ca.crt", "tls.crt", "tls.key", "path-token"}
    assert world.serving.files["ca.crt"] == material.authorities == world.bundle
    assert world.token == material.path_token
    assert len(material.path_token) == 64
    world.check()


Start = Callable[[], Awaitable[World]]
STARTS: list[Start] = [fresh, of_version_0_1_0, upgraded, installed]


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("renewal", Renewal)
async def test_a_run_that_ends_after_any_write_is_finished_by_the_next_one(
    start: Start, renewal: Renewal
) -> None:
    for crash_after in range(1, MOST_WRITES):
        world = await start()
        before = set(authorities_in(world.bundle))
        world.crash_after = crash_after
        try:
            await world.run(renewal).ensure()
        except CrashError:
            world.crash_after = 0
            await world.run().ensure()
        else:
            return
        assert_in_order(world)
        if renewal is Renewal.REVOKE:
            assert before.isdisjoint(authorities_in(world.bundle))
    pytest.fail(f"a run took more than {MOST_WRITES} writes")


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("renewal", Renewal)
async def test_a_run_ends_in_order_and_the_next_one_writes_nothing(
    start: Start, renewal: Renewal
) -> None:
    world = await start()
    await world.run(renewal).ensure()
    assert_in_order(world)
    writes = world.writes
    await world.run().ensure()
    assert world.writes == writes


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("renewal", [Renewal.ALL, Renewal.REVOKE])
async def test_parallel_runs_make_one_authority_each_at_most(
    start: Start, renewal: Renewal
) -> None:
    world = await start()
    before = set(authorities_in(world.bundle))
    await asyncio.gather(*(world.run(renewal).ensure() for _ in range(4)))
    assert_in_order(world)
    made = set(authorities_in(world.bundle + world.stored.revoked)) - before
    assert len(made) == 1
    if renewal is Renewal.REVOKE:
        assert set(authorities_in(world.bundle)) == made


async def test_all_that_leaked_is_replaced_and_no_longer_trusted() -> None:
    world = await installed()
    before = world.stored
    await world.run(Renewal.REVOKE).ensure()
    assert set(authorities_in(world.bundle)).isdisjoint(authorities_in(before.authorities))
    assert world.stored.certificate != before.certificate
    assert world.stored.path_token != before.path_token
    assert [dict(pod.files)["tls.crt"] for pod in world.pods] == [world.stored.certificate] * 2


async def test_a_revoked_authority_that_something_puts_back_is_dropped_again() -> None:
    world = await installed()
    leaked = world.bundle
    await world.run(Renewal.REVOKE).ensure()
    world.bundle += leaked
    await world.run().ensure()
    assert_in_order(world)


async def test_nothing_is_removed_while_a_pod_serves_the_old_pair() -> None:
    world = await installed()
    old = authorities_in(world.bundle)
    world.pods[1].reads_after = 1_000_000
    with pytest.raises(UnsettledError, match="do not serve the new certificate and path yet: 1"):
        await world.run(Renewal.REVOKE).ensure()
    world.check()
    assert set(old) < set(authorities_in(world.bundle))
    world.pods[1].reads_after = 1
    await world.run().ensure()
    assert_in_order(world)
    assert set(old).isdisjoint(authorities_in(world.bundle))


async def test_an_unreachable_pod_is_waited_for_and_then_skipped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = await installed()
    monkeypatch.setattr(World, "lagging", _unreachable)
    world.pods = []
    started = asyncio.get_running_loop().time()
    await world.run(Renewal.REVOKE).ensure()
    assert asyncio.get_running_loop().time() - started >= PATIENCE.total_seconds()
    assert_in_order(world)


async def _unreachable(_world: World, _material: Material) -> Lagging:
    return Lagging([], ["10.0.0.1:9443"])


async def test_a_lost_store_keeps_the_path_that_the_api_server_knows() -> None:
    """The pods serve what they mounted until the kubelet brings them something else."""
    world = await installed()
    token = world.token
    world.authority, world.serving = Part(), Part()
    await world.run().ensure()
    assert world.token == token == world.stored.path_token
    world.check()


async def test_the_authority_of_the_only_secret_is_moved_not_replaced() -> None:
    world = await of_version_0_1_0()
    before = world.bundle
    await world.run().ensure()
    assert_in_order(world)
    assert world.bundle == before
    assert "ca.key" in world.authority.files


async def test_plain_paths_come_back_when_they_are_asked_for() -> None:
    world = await installed()
    await replace(world.run(), order=replace(ORDER, unguessable_path=False)).ensure()
    assert (world.token, set(world.serving.files)) == (b"", {"ca.crt", "tls.crt", "tls.key"})
    world.check()


async def test_without_webhook_configurations_paths_stay_plain() -> None:
    world = await fresh()
    await replace(world.run(), trust=None).ensure()
    assert "path-token" not in world.serving.files
