import asyncio
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from certs.bundle import authorities_in, merge
from certs.directory import DirectoryStore
from certs.ensure import Ensurer, UnsettledError
from certs.inspection import as_document, as_text, findings
from certs.material import Material, Part, Stored
from certs.rotation import Order, Renewal, serving_due
from certs.trust import ClientConfig

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
ORDER = Order(("webhook.system.svc",), timedelta(days=300), timedelta(days=30))
AT_ONCE = (timedelta(0), timedelta(0))


@dataclass
class TrustedBundle:
    """A fake API server.

    It keeps what it trusts and calls, and what was served whenever the trust changed.
    """

    directory: Path
    bundle: bytes = b""
    token: bytes | None = None
    served_at_publishing: list[bytes] = field(default_factory=list)

    async def publish(
        self, authorities: bytes, without: bytes, now: datetime
    ) -> tuple[object, ...]:
        wanted = merge(authorities, self.bundle, now, without)
        if wanted == self.bundle:
            return ()
        self.bundle = wanted
        served = self.directory / "tls.crt"
        self.served_at_publishing.append(served.read_bytes() if served.exists() else b"")
        return ("the bundle",)

    async def publish_path(self, token: bytes, *, only_missing: bool = False) -> tuple[object, ...]:
        if self.token is None or not only_missing:
            self.token = token
        return ("the path",)

    async def bundles(self) -> bytes:
        return self.bundle

    async def tokens(self) -> frozenset[bytes | None]:
        return frozenset({self.token})


def _run(
    directory: Path, *, days: float = 0, order: Order = ORDER, trust: TrustedBundle | None = None
) -> Ensurer:
    return Ensurer(
        DirectoryStore(directory), trust, None, order, lambda: NOW + timedelta(days=days), *AT_ONCE
    )


async def test_everything_is_made_at_first(tmp_path: Path):
    material = await _run(tmp_path).ensure()
    assert not serving_due(material, ORDER, NOW).renew
    assert (tmp_path / "tls.crt").read_bytes() == material.certificate


async def test_a_second_run_changes_nothing(tmp_path: Path):
    assert await _run(tmp_path).ensure() == await _run(tmp_path, days=1).ensure()


async def test_the_authority_stays_when_only_the_certificate_is_due(tmp_path: Path):
    first = await _run(tmp_path).ensure()
    second = await _run(tmp_path, days=21).ensure()
    assert second.authorities == first.authorities
    assert second.certificate != first.certificate


async def test_a_new_authority_is_trusted_before_anything_signed_by_it_is_served(tmp_path: Path):
    trust = TrustedBundle(tmp_path)
    first = await _run(tmp_path, trust=trust).ensure()
    for days in range(15, 190, 15):
        latest = await _run(tmp_path, days=days, trust=trust).ensure()
    assert latest.authorities == first.authorities
    renewed = await _run(tmp_path, days=201, trust=trust).ensure()
    assert trust.served_at_publishing[-1] == latest.certificate
    assert renewed.certificate != latest.certificate
    assert len(authorities_in(trust.bundle)) == 2
    assert authorities_in(trust.bundle)[0] == authorities_in(renewed.authorities)[0]


async def test_an_emptied_bundle_gets_the_old_authority_back(tmp_path: Path):
    trust = TrustedBundle(tmp_path)
    await _run(tmp_path, trust=trust).ensure()
    await _run(tmp_path, days=201, trust=trust).ensure()
    before, trust.bundle = trust.bundle, b""
    await _run(tmp_path, days=202, trust=trust).ensure()
    assert trust.bundle == before


async def test_an_authority_whose_store_was_lost_stays_trusted(tmp_path: Path):
    trust = TrustedBundle(tmp_path / "first")
    lost = await _run(tmp_path / "first", trust=trust).ensure()
    trust.directory = tmp_path / "second"
    await _run(tmp_path / "second", trust=trust).ensure()
    assert authorities_in(lost.authorities)[0] in authorities_in(trust.bundle)


async def test_renewal_on_request_comes_before_it_is_due(tmp_path: Path):
    first = await _run(tmp_path).ensure()
    second = await replace(_run(tmp_path), renewal=Renewal.CERTIFICATE).ensure()
    assert (second.authorities == first.authorities, second.certificate == first.certificate) == (
        True,
        False,
    )
    third = await replace(_run(tmp_path), renewal=Renewal.ALL).ensure()
    assert authorities_in(third.authorities)[1:] == authorities_in(second.authorities)
    assert not serving_due(third, ORDER, NOW).renew


async def test_runs_at_once_end_with_one_certificate(tmp_path: Path):
    results = await asyncio.gather(*(_run(tmp_path).ensure() for _ in range(8)))
    assert len({material.certificate for material in results}) == 1


async def test_a_run_ends_with_an_error_if_the_store_keeps_changing(tmp_path: Path):
    class Contested(DirectoryStore):
        async def load(self) -> Stored:
            return replace(await super().load(), authority=Part("a version long gone"))

    with pytest.raises(UnsettledError, match="times in a row"):
        await Ensurer(Contested(tmp_path), None, None, ORDER, lambda: NOW, *AT_ONCE).ensure()


async def test_no_log_line_holds_a_key(tmp_path: Path):
    with capture_logs() as lines:
        await _run(tmp_path).ensure()
    assert any(line["event"] == "authority made" for line in lines)
    assert "PRIVATE" not in str(lines)


async def test_inspection_agrees_with_ensure(tmp_path: Path):
    def client(bundle: bytes, token: bytes | None = None) -> ClientConfig:
        return ClientConfig(bundle, path_is_managed=True, token=token)

    clients = {"mutating/x": (client(b""),), "validating/x": None}

    def found(material: Material, days: float) -> dict[str, object]:
        return as_document(findings("here", material, clients, ORDER, NOW + timedelta(days=days)))

    assert [
        (one["thing"], one["renew"], one["reason"]) for one in found(Material(), 0)["findings"]
    ] == [
        ("authority in here", True, "is missing"),
        ("certificate in here", True, "is missing"),
        ("path token", True, "is missing"),
        ("mutating/x", True, "has another path"),
        ("validating/x", True, "does not exist"),
    ]
    material = await _run(tmp_path, trust=TrustedBundle(tmp_path)).ensure()
    clients["mutating/x"] = (client(material.authorities, material.path_token),)
    del clients["validating/x"]
    assert found(material, 0)["due"] is False
    assert found(material, 21)["due"] is True
    clients["mutating/x"] = (
        client(b"", material.path_token),
        client(material.authorities, material.path_token),
    )
    assert found(material, 0)["findings"][-1]["reason"] == "does not trust the right authorities"
    clients["mutating/x"] = (client(material.authorities, b""),)
    assert found(material, 0)["findings"][-1]["reason"] == "has another path"
    assert material.path_token.decode() not in str(found(material, 0))


async def test_inspection_shows_names_and_expiry_but_no_key(tmp_path: Path):
    material = await _run(tmp_path).ensure()
    text = as_text(findings("here", material, {}, ORDER, NOW))
    assert "names    webhook.system.svc" in text
    assert "to 2026-12-23T12:00:00+00:00" in text
    assert "PRIVATE" not in text
