"""The server is verified as the kubeconfig asks, and the client certificate is sent."""

import datetime as dt
import re
import ssl
import sys
from collections.abc import AsyncIterator
from ipaddress import ip_address
from pathlib import Path

import pytest
import yaml
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from kube.configuration import ConfigurationError
from kube.errors import Unreachable
from tests.kube.scripted import ApiServer, answering, api_server
from tests.support.pki import Authority, KeyPair

NOW = dt.datetime.now(dt.UTC)  # noqa: TID251 - certificates are judged by the machine's clock


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, NOW)


@pytest.fixture
async def server(authority: Authority, tmp_path: Path) -> AsyncIterator[ApiServer]:
    pair = authority.server("server", ["localhost", "kubernetes"], ["127.0.0.1"])
    async with api_server(tmp_path, _listener(pair, authority.pair.certificate)) as running:
        running.authority = authority.pair.certificate
        running.answer = answering({"hello": "you"})
        yield running


def _listener(pair: KeyPair, clients: Path | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=clients)
    context.load_cert_chain(pair.certificate, pair.key)
    if clients:
        context.verify_mode = ssl.CERT_OPTIONAL
    return context


def _with_cluster(path: Path, **fields: object) -> Path:
    """Change the kubeconfig's only cluster."""
    document = yaml.safe_load(path.read_text())
    document["clusters"][0]["cluster"].update(fields)
    path.write_text(yaml.safe_dump(document))
    return path


async def test_a_server_that_the_authority_vouches_for_is_trusted(server: ApiServer) -> None:
    async with server.connection() as connection:
        assert b"hello" in await connection.request("GET", "/things")


async def test_a_stranger_is_not_trusted(server: ApiServer, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    server.authority = Authority(tmp_path / "other", NOW).pair.certificate
    async with server.connection() as connection:
        with pytest.raises(Unreachable, match="certificate verify failed"):
            await connection.request("GET", "/things")
    assert server.requests == []


async def test_a_stranger_is_trusted_where_the_kubeconfig_insists(server: ApiServer) -> None:
    server.authority = None
    path = _with_cluster(server.kubeconfig(), **{"insecure-skip-tls-verify": True})
    async with server.connection(kubeconfig=path) as connection:
        assert b"hello" in await connection.request("GET", "/things")


@pytest.mark.parametrize(("name", "trusted"), [("kubernetes", True), ("somebody.else", False)])
async def test_the_name_that_the_kubeconfig_expects_is_checked(
    server: ApiServer, name: str, trusted: bool
) -> None:
    path = _with_cluster(server.kubeconfig(), **{"tls-server-name": name})
    async with server.connection(kubeconfig=path) as connection:
        if trusted:
            assert b"hello" in await connection.request("GET", "/things")
        else:
            with pytest.raises(Unreachable, match=re.escape(name)):
                await connection.request("GET", "/things")


async def test_a_client_certificate_is_shown(server: ApiServer, authority: Authority) -> None:
    seen: list[object] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        seen.append(request.transport.get_extra_info("peercert"))
        return web.Response()

    server.answer = answer
    pair = authority.client("me", "me", ["system:masters"])
    path = server.kubeconfig(
        **{"client-certificate": str(pair.certificate), "client-key": str(pair.key)}
    )
    async with server.connection(kubeconfig=path) as connection:
        await connection.request("GET", "/things")
    assert "Authorization" not in server.requests[0].headers
    assert (("commonName", "me"),) in seen[0]["subject"]  # type: ignore[index]


@pytest.mark.parametrize("broken", ["authority", "client"])
async def test_certificates_that_cannot_be_used_are_said_in_one_line(
    server: ApiServer, tmp_path: Path, broken: str
) -> None:
    rubbish = tmp_path / "rubbish.pem"
    rubbish.write_text("this is no certificate")
    if broken == "authority":
        server.authority = rubbish
        path = server.kubeconfig()
    else:
        path = server.kubeconfig(**{"client-certificate": str(rubbish), "client-key": str(rubbish)})
    with pytest.raises(
        ConfigurationError, match=r"the certificates for https://.* cannot be used"
    ) as caught:
        async with server.connection(kubeconfig=path):
            pass
    assert "\n" not in str(caught.value)


async def test_an_old_fashioned_authority_is_trusted_where_that_is_asked_for(
    tmp_path: Path,
) -> None:
    """Python 3.13 refuses a CA without key identifiers, which many clusters have."""
    authority, pair = _old_fashioned(tmp_path)
    async with api_server(tmp_path, _listener(pair)) as server:
        server.authority = authority
        server.answer = answering()
        async with server.connection(disable_strict_tls=True) as connection:
            await connection.request("GET", "/things")
        async with server.connection() as connection:
            if sys.version_info < (3, 13):
                await connection.request("GET", "/things")
            else:
                with pytest.raises(Unreachable, match="certificate verify failed"):
                    await connection.request("GET", "/things")


def _old_fashioned(folder: Path) -> tuple[Path, KeyPair]:
    """Return an authority and a pair without key identifiers, as old tools wrote them."""
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    authority = _certificate(
        "old authority",
        authority_key,
        x509.BasicConstraints(ca=True, path_length=None),
        authority_key,
    )
    certificate = _certificate("old", key, address, authority_key)
    (folder / "old-ca.crt").write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    pair = KeyPair(folder / "old.crt", folder / "old.key")
    pair.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    pair.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return folder / "old-ca.crt", pair


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    extension: x509.ExtensionType,
    signer: ec.EllipticCurvePrivateKey,
) -> x509.Certificate:
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "old authority")]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - dt.timedelta(hours=1))
        .not_valid_after(NOW + dt.timedelta(hours=1))
        .add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
    ).sign(signer, hashes.SHA256())
