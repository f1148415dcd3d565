"""Define the flags and environment variables of the certificate tool.

`__main__.py` loads them once and builds the parts of a run from them.
"""

import re
from contextlib import suppress
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import CliPositionalArg, CliSuppress

from certs.rotation import Order, Renewal
from certs.trust import Configuration
from kube.client import MUTATING_WEBHOOKS, VALIDATING_WEBHOOKS
from runtime.settings import AddressText, ProcessSettings

SECONDS_IN = {"s": 1, "m": 60, "h": 3600, "d": 86400}
DURATION = re.compile(r"([0-9]{1,12})([smhd])")
LONGEST_NAME = 253  # characters of a DNS name
_LABEL = "[_a-z0-9]([-_a-z0-9]*[_a-z0-9])?"
DNS_NAME = re.compile(rf"(\*\.)?{_LABEL}(\.{_LABEL})*", re.IGNORECASE | re.ASCII)
# A hundred years.
LONGEST = timedelta(days=36525)
LONGEST_WAIT = timedelta(hours=1)
SHORTEST_LIFETIME = timedelta(minutes=1)
DEVELOPMENT_NAMES = ("localhost", "127.0.0.1", "::1")


def _duration(text: object) -> object:
    """Parse a duration such as `90d`.

    Too long ones are rejected here, before arithmetic with them overflows.
    """
    if not isinstance(text, str):
        return text
    match = DURATION.fullmatch(text)
    if match is None:
        raise ValueError("is not a duration such as 90d, 12h, 30m or 5s")
    seconds = int(match[1]) * SECONDS_IN[match[2]]
    if seconds > LONGEST.total_seconds():
        raise ValueError(f"is longer than {LONGEST.days}d")
    return timedelta(seconds=seconds)


def _subject_name(text: str) -> str:
    """Return a DNS name or an IP address in the form that a certificate has."""
    if len(text) <= LONGEST_NAME and DNS_NAME.fullmatch(text):
        return text
    with suppress(ValueError):
        address = ip_address(text)
        if "%" not in text:  # a certificate holds no zone
            return str(address)
    raise ValueError(
        "is neither a DNS name nor an IP address; write letters outside of ASCII in Punycode"
    )


SubjectName = Annotated[str, AfterValidator(_subject_name)]
Duration = Annotated[timedelta, BeforeValidator(_duration)]
Lifetime = Annotated[Duration, Field(ge=SHORTEST_LIFETIME)]
Wait = Annotated[Duration, Field(ge=timedelta(0), le=LONGEST_WAIT)]


class Settings(ProcessSettings):
    """Make, renew and publish the certificates of the admission webhook.

    ensure: make what is missing or due, and publish it to the API server. Runs may be repeated,
    and two runs may overlap.
    revoke: after a key has leaked, renew everything, and end the trust in every previous CA when
    the pods serve the new certificate.
    inspect: print the certificates, their expiry, and what ensure would do and why.
    """

    command: CliPositionalArg[Literal["ensure", "revoke", "inspect"]] = Field(
        description="ensure, revoke or inspect"
    )
    health_address: CliSuppress[AddressText] = Field(
        default=":0", description="unused: the tool answers no probes"
    )
    namespace: SubjectName = Field(
        default="configmapsync-system", description="namespace of the Secrets and of the service"
    )
    secret: str = Field(
        default="configmapsync-webhook",
        description="name of the kubernetes.io/tls Secret that the webhook mounts",
    )
    ca_secret: str = Field(
        default="configmapsync-webhook-ca",
        description="name of the Secret with the key of the CA, for this tool alone",
    )
    service: SubjectName = Field(
        default="configmapsync-webhook", description="name of the Service of the webhook"
    )
    cluster_domain: SubjectName = Field(
        default="cluster.local", description="DNS domain of the cluster"
    )
    extra_names: list[SubjectName] = Field(
        default=[], description="additional DNS names or IP addresses of the certificate"
    )
    mutating_configuration: str = Field(
        default="configmapsync-webhook",
        description="MutatingWebhookConfiguration that must trust the CA; empty: none",
    )
    validating_configuration: str = Field(
        default="configmapsync-webhook",
        description="ValidatingWebhookConfiguration that must trust the CA; empty: none",
    )
    dir: Path | None = Field(
        default=None, description="directory for the certificates, instead of Secrets"
    )
    inject: bool | None = Field(
        default=None,
        description=(
            "write the CA and the path into the webhook configurations; "
            "default: true, but false with --dir"
        ),
    )
    unguessable_path: bool = Field(
        default=True,
        description=(
            "use a secret path, known only to the API server, in the webhook configurations"
        ),
    )
    ca_lifetime: Lifetime = Field(
        default=timedelta(days=1825), description="life of a new CA, such as 1825d"
    )
    certificate_lifetime: Lifetime = Field(
        default=timedelta(days=90), description="life of a new certificate, such as 90d"
    )
    settling: Wait = Field(
        default=timedelta(seconds=5),
        description="time for API servers to see a changed webhook configuration, such as 5s",
    )
    patience: Wait = Field(
        default=timedelta(minutes=4),
        description="longest time for every webhook pod to serve a changed Secret, such as 4m",
    )
    renew: Literal["due", "certificate", "all"] = Field(
        default="due",
        description=(
            "due: renew what is due; certificate: renew the certificate now; "
            "all: renew the CA and the path, too (after a leak, use revoke)"
        ),
    )
    output: Literal["text", "json"] = Field(default="text", description="output format of inspect")

    @property
    def configurations(self) -> tuple[Configuration, ...]:
        """Return the webhook configurations that the tool writes."""
        injects = self.dir is None if self.inject is None else self.inject
        named = (
            Configuration(MUTATING_WEBHOOKS, self.mutating_configuration),
            Configuration(VALIDATING_WEBHOOKS, self.validating_configuration),
        )
        return tuple(one for one in named if injects and one.name)

    @property
    def renewal(self) -> Renewal:
        """Return what to renew."""
        return Renewal.REVOKE if self.command == "revoke" else Renewal(self.renew)

    @property
    def order(self) -> Order:
        """Return the wanted material."""
        host = f"{self.service}.{self.namespace}.svc"
        development = DEVELOPMENT_NAMES if self.dir else ()
        names = (
            host,
            f"{host}.{self.cluster_domain}",
            *development,
            *self.extra_names,
        )
        return Order(
            tuple(dict.fromkeys(names)),
            self.ca_lifetime,
            self.certificate_lifetime,
            self.unguessable_path,
        )
