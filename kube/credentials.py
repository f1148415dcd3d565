"""Keep the client's credentials fresh: the `Authorization` header and the TLS context.

`connection.py` asks for an `Identity` before each request and after a refusal. The
credentials are loaded again each minute and after a refusal, because a kubelet replaces
tokens and those of exec plugins expire. If a load fails, the present ones are kept.
"""

import asyncio
import hashlib
import ssl
from pathlib import Path
from typing import NamedTuple, Self

import structlog

from kube.configuration import LOAD_SECONDS, ConfigurationError, Source, Target

RELOAD_SECONDS = 60.0  # a kubelet replaces a token long before it expires


class Identity(NamedTuple):
    """What the client shows to the API server.

    Attributes:
        authorization: the `Authorization` header; None without one.
        tls: trusts the CA of the API server and holds the client certificate. A renewed
            certificate makes a new context, so pooled connections with the old one are not reused.
    """

    authorization: str | None
    tls: ssl.SSLContext


class Credentials:
    """The credentials as they were last loaded.

    Attributes:
        target: as first loaded; a later load changes the identity, but no address or proxy.
    """

    def __init__(self, source: Source, target: Target, *, strict: bool) -> None:
        """Use a target that `source` has loaded.

        Args:
            source: of newer credentials.
            target: the first ones.
            strict: whether to refuse a CA without key identifiers.

        Raises:
            OSError: a certificate file cannot be read or used.
        """
        self.target = target
        self._source = source
        self._strict = strict
        self._files = _digest(target)
        self._identity = Identity(target.authorization, tls_context(target, strict=strict))
        self._loaded_at = asyncio.get_running_loop().time()
        self._loading = asyncio.Lock()
        self._loads_after_refusal = 0
        self._log = structlog.get_logger("credentials")

    @classmethod
    async def load(cls, source: Source, *, strict: bool) -> Self:
        """Load the first credentials of `source`.

        Raises:
            ConfigurationError: they cannot be loaded, or a certificate cannot be used.
        """
        target = await source.load(refused=False)
        try:
            return cls(source, target, strict=strict)
        except OSError as error:  # ssl.SSLError is one
            raise ConfigurationError(
                f"the certificates for {target.host} cannot be used: {error}"
            ) from error

    async def current(self) -> Identity:
        """Return what to show to the API server."""
        if self._age() >= RELOAD_SECONDS:
            async with self._loading:
                if self._age() >= RELOAD_SECONDS:
                    await self._reload(refused=False)
        return self._identity

    async def replace_refused(self, refused: Identity) -> Identity:
        """Load and return another identity than a refused one; the same one if there is no other.

        Requests that are refused at the same time share one load, because a plugin can take long.
        """
        loads = self._loads_after_refusal
        async with self._loading:
            if self._identity == refused and self._loads_after_refusal == loads:
                await self._reload(refused=True)
                self._loads_after_refusal += 1
                if self._identity != refused:
                    self._log.info("API server refused the credentials, using newer ones")
        return self._identity

    def _age(self) -> float:
        return asyncio.get_running_loop().time() - self._loaded_at

    async def _reload(self, *, refused: bool) -> None:
        self._loaded_at = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(LOAD_SECONDS):
                target = await self._source.load(refused=refused)
            files, tls = _digest(target), self._identity.tls
            if files != self._files:
                tls = tls_context(target, strict=self._strict)
                self._files = files
                self._log.info("loaded new certificates")
            self._identity = Identity(target.authorization or self._identity.authorization, tls)
        except Exception as error:  # noqa: BLE001 - a plugin may fail in any way, and the old credentials may still be valid
            self._log.warning(
                "cannot reload the credentials, keeping the old ones", error=type(error).__name__
            )


def tls_context(target: Target, *, strict: bool) -> ssl.SSLContext:
    """Return the TLS context for a target.

    Args:
        target: with the files of the CA, the client certificate and its key.
        strict: whether to refuse a CA without key identifiers.

    Raises:
        OSError: a file cannot be read or used.
    """
    context = ssl.create_default_context(cafile=target.authority)
    if not strict:
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if target.certificate:
        context.load_cert_chain(*target.certificate)
    if not target.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _digest(target: Target) -> bytes:
    """Return a digest of the files that the TLS context is made of."""
    digest = hashlib.sha256()
    for path in (target.authority, *(target.certificate or ())):
        digest.update(Path(path).read_bytes() if path else b"-")
    return digest.digest()
