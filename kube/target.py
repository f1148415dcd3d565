"""What has to be known to talk to an API server. Found by `credentials.py`, used by `connection.py`."""

from dataclasses import dataclass
from typing import Any, Self

from kube.token import Load, Token


class ConfigurationError(Exception):
    """We do not know how to reach the API server; the message is one line for people."""


@dataclass(frozen=True, slots=True)
class Target:
    """An API server, and who we are to it.

    Attributes:
        host: its address, `https://...`.
        authority: file of the CA that vouches for it; None for the system's.
        certificate: files of our certificate and its key; None without.
        verify: whether its certificate is checked.
        server_name: name to expect in it; None for the host's.
        proxy: the one that the kubeconfig names; None without.
        token: gives the current `Authorization` header; None without.
    """

    host: str
    authority: str | None
    certificate: tuple[str, str | None] | None
    verify: bool
    server_name: str | None
    proxy: str | None
    token: Token | None

    @classmethod
    def of(cls, configuration: Any, load: Load) -> Self:
        """Take it from the library's `Configuration`; `load` gets the header anew."""
        header = configuration.api_key.get("BearerToken")
        return cls(
            host=str(configuration.host).rstrip("/"),
            authority=configuration.ssl_ca_cert,
            certificate=(configuration.cert_file, configuration.key_file)
            if configuration.cert_file
            else None,
            verify=bool(configuration.verify_ssl),
            server_name=configuration.tls_server_name,
            proxy=configuration.proxy,
            token=Token(header, load) if header else None,
        )
