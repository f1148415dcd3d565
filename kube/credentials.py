"""Where the API server is, and who we are to it: from a kubeconfig or from the pod we run in.

The finding is kubernetes_asyncio's; around it stand the things it leaves open: errors in one line for people, tokens that are read again when they
may have changed, and an exec plugin that may fail once without ending us. `connection.py` is the only user.
"""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from kube.lean import credential_layer

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
DEFAULT_KUBECONFIG = Path.home() / ".kube" / "config"
REREAD_AFTER = 60.0  # seconds; a kubelet replaces a token well before the old one expires


class ConfigurationError(Exception):
    """We do not know how to reach the API server; the message is one line for people."""


@dataclass(frozen=True, slots=True)
class Target:
    """What a connection needs to know, read once.

    Attributes:
        host: `https://...`.
        authority: file of the CA; None for the system's.
        certificate: files of the client certificate and key; None without.
        verify: whether the server's certificate is checked.
        server_name: name to expect in it; None for the host's.
        proxy: the proxy named in the kubeconfig; None without.
        token: gives the current `Authorization` value; None without.
    """

    host: str
    authority: str | None
    certificate: tuple[str, str | None] | None
    verify: bool
    server_name: str | None
    proxy: str | None
    token: "Token | None"


class Token:
    """An `Authorization` header that may change while we run."""

    def __init__(self, value: str, reread: Callable[[], Any] | None) -> None:
        self._value = value.strip()
        self._reread = reread
        self._read_at: float | None = None

    async def value(self) -> str:
        """The header's value; read again when it is a minute old."""
        now = asyncio.get_running_loop().time()
        if self._read_at is None:
            self._read_at = now
        elif now - self._read_at >= REREAD_AFTER:
            await self.refresh()
        return self._value

    async def refresh(self) -> None:
        """Read it again now, as after a 401. What cannot be read for a moment is kept: the old one may still be good."""
        self._read_at = asyncio.get_running_loop().time()
        if self._reread is None:
            return
        try:
            fresh = self._reread()
            fresh = await fresh if asyncio.iscoroutine(fresh) else fresh
        except Exception:  # noqa: BLE001 - a plugin may fail in any way; the next refresh tries again, and a 401 tells on it
            return
        if fresh:
            self._value = str(fresh).strip()


async def find(kubeconfig: Path | None, context: str | None) -> Target:
    """Look where `kubectl` looks, and in the pod.

    Args:
        kubeconfig: the file; by default $KUBECONFIG, then the pod's service account, then ~/.kube/config.
        context: of the kubeconfig; its current one by default.

    Raises:
        ConfigurationError: there is nothing usable.
    """
    named = kubeconfig or (Path(os.environ["KUBECONFIG"]) if os.environ.get("KUBECONFIG") else None)
    if named is None and "KUBERNETES_SERVICE_HOST" in os.environ:
        return _in_cluster()
    return await _from_kubeconfig(named or DEFAULT_KUBECONFIG, context)


def _in_cluster() -> Target:
    configuration_class, config = credential_layer()
    configuration = configuration_class()
    try:
        config.load_incluster_config(client_configuration=configuration)
    except (config.ConfigException, OSError) as error:
        raise ConfigurationError(f"the pod's service account cannot be used: {error}") from error
    token_file = SERVICE_ACCOUNT / "token"
    return _target(configuration, lambda: f"Bearer {token_file.read_text(encoding='utf-8').strip()}")


async def _from_kubeconfig(path: Path, context: str | None) -> Target:
    configuration_class, config = credential_layer()
    configuration = configuration_class()
    _check_readable(path)
    try:
        loader = await config.load_kube_config(
            config_file=str(path), context=context, client_configuration=configuration, persist_config=False
        )
    except Exception as error:
        raise ConfigurationError(f"kubeconfig {path}: {_in_one_line(error)}") from error
    if not str(configuration.host).startswith(("http://", "https://")):
        raise ConfigurationError(
            f"kubeconfig {path}: the cluster's server {configuration.host!r} is not an http(s) address"
        )
    return _target(configuration, _rereader(loader))


def _check_readable(path: Path) -> None:
    """The library falls over files that are missing or no YAML in ways that explain nothing; say it here."""
    try:
        parsed = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"kubeconfig {path}: {_in_one_line(error)}") from error
    except yaml.YAMLError as error:
        raise ConfigurationError(f"kubeconfig {path} is not YAML: {_in_one_line(error)}") from error
    if not isinstance(parsed, dict) or not parsed.get("clusters"):
        raise ConfigurationError(f"kubeconfig {path} names no cluster")


def _rereader(loader: Any) -> Callable[[], Any]:
    """How the token of this kubeconfig's user is had again."""

    async def load() -> str | None:
        await loader._load_authentication()  # noqa: SLF001 - the library has no public way that covers every kind of user
        return getattr(loader, "token", None)

    return load


def _target(configuration: Any, reread: Callable[[], Any]) -> Target:
    token = configuration.api_key.get("BearerToken")
    certificate = (configuration.cert_file, configuration.key_file) if configuration.cert_file else None
    return Target(
        host=str(configuration.host).rstrip("/"),
        authority=configuration.ssl_ca_cert,
        certificate=certificate,
        verify=bool(configuration.verify_ssl),
        server_name=configuration.tls_server_name,
        proxy=configuration.proxy,
        token=Token(token, reread) if token else None,
    )


def _in_one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
