"""The flags and environment variables of the certificate tool. Read once, by `__main__.py`."""

import ipaddress
import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field
from pydantic_settings import CliPositionalArg, CliSuppress

from certs.rotation import Order, Renewal
from runtime.settings import AddressText, ProcessSettings

SECONDS_IN = {"s": 1, "m": 60, "h": 3600, "d": 86400}
DURATION = re.compile(r"(\d+)([smhd])")
DEVELOPMENT_NAMES = ("localhost", "127.0.0.1", "::1")


def _duration(text: object) -> object:
    if not isinstance(text, str):
        return text
    match = DURATION.fullmatch(text)
    if match is None:
        raise ValueError("is not a duration such as 90d, 12h, 30m or 5s")
    return timedelta(seconds=int(match[1]) * SECONDS_IN[match[2]])


Duration = Annotated[timedelta, BeforeValidator(_duration)]


class Settings(ProcessSettings):
    """Make, renew and publish the certificates of the admission webhook.

    ensure: make what is missing or due, then have the API server trust it. Safe to repeat, and to run twice at once.
    inspect: print what is there, when it expires, and what ensure would do and why.
    """

    command: CliPositionalArg[Literal["ensure", "inspect"]] = Field(description="ensure or inspect")
    health_address: CliSuppress[AddressText] = Field(default=":0", description="unused: a script answers no probes")
    namespace: str = Field(default="configmapsync-system", description="namespace of the Secret and of the service")
    secret: str = Field(default="configmapsync-webhook", description="name of the kubernetes.io/tls Secret")
    service: str = Field(default="configmapsync-webhook", description="service that the API server calls")
    cluster_domain: str = Field(default="cluster.local", description="domain of the cluster's own names")
    extra_names: list[str] = Field(default=[], description="further DNS names or addresses in the certificate")
    mutating_configuration: str = Field(
        default="configmapsync-webhook", description="MutatingWebhookConfiguration that must trust the CA; empty: none"
    )
    validating_configuration: str = Field(
        default="configmapsync-webhook",
        description="ValidatingWebhookConfiguration that must trust the CA; empty: none",
    )
    dir: Path | None = Field(default=None, description="keep everything in this directory instead of a Secret")
    inject: bool | None = Field(
        default=None,
        description="have the webhook configurations trust the CA; default: yes, but not with --dir",
    )
    ca_lifetime: Duration = Field(default=timedelta(days=1825), description="life of a new CA, such as 1825d")
    certificate_lifetime: Duration = Field(
        default=timedelta(days=90), description="life of a new certificate, such as 90d"
    )
    settling: Duration = Field(
        default=timedelta(seconds=5),
        description="time given to the API servers to hear of a new CA before a pair signed by it is served",
    )
    renew: Renewal = Field(
        default=Renewal.DUE,
        description="due: what is due; certificate: a new certificate now; all: a new CA too, as after a key has leaked",
    )
    output: Literal["text", "json"] = Field(default="text", description="form of what inspect prints")

    @property
    def injects(self) -> bool:
        """Whether webhook configurations are looked after."""
        return self.dir is None if self.inject is None else self.inject

    @property
    def order(self) -> Order:
        """What the material must be like."""
        host = f"{self.service}.{self.namespace}.svc"
        development = DEVELOPMENT_NAMES if self.dir is not None else ()
        names = (host, f"{host}.{self.cluster_domain}", *development, *map(_normalised, self.extra_names))
        return Order(tuple(dict.fromkeys(names)), self.ca_lifetime, self.certificate_lifetime)


def _normalised(name: str) -> str:
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name
