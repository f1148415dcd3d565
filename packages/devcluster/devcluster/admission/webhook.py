"""Read the webhooks of the stored configurations, in calling order."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

DEFAULT_TIMEOUT_SECONDS = 10
DEFAULT_SERVICE_PORT = 443


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """The address of a webhook and the CA that must have signed its certificate."""

    url: str
    ca_bundle: str = ""  # base64 of PEM, as stored; empty trusts the system's authorities
    service: tuple[str, str] | None = (
        None  # namespace and name, where the URL was made from a service reference
    )


@dataclass(frozen=True, slots=True)
class Webhook:
    """A webhook as it is called; everything that defaults has its default."""

    name: str
    configuration: str
    client: ClientConfig
    rules: tuple[Mapping[str, Any], ...]
    fails_open: bool
    reinvocable: bool
    timeout_seconds: int
    namespace_selector: Mapping[str, Any]
    object_selector: Mapping[str, Any]
    conditions: tuple[tuple[str, str], ...]
    review_versions: tuple[str, ...]


def webhooks_of(configurations: Iterable[Mapping[str, Any]]) -> Iterator[Webhook]:
    """Yield all webhooks: configurations by name, and within each as they are written."""
    for configuration in sorted(configurations, key=lambda one: str(one["metadata"]["name"])):
        for document in configuration.get("webhooks") or ():
            yield parse_webhook(configuration["metadata"]["name"], document)


def parse_webhook(configuration: str, document: Mapping[str, Any]) -> Webhook:
    """Read one stored (so: defaulted and valid) webhook."""
    conditions = document.get("matchConditions") or ()
    return Webhook(
        name=document["name"],
        configuration=configuration,
        client=parse_client_config(document["clientConfig"]),
        rules=tuple(document.get("rules") or ()),
        fails_open=document.get("failurePolicy") == "Ignore",
        reinvocable=document.get("reinvocationPolicy") == "IfNeeded",
        timeout_seconds=document.get("timeoutSeconds") or DEFAULT_TIMEOUT_SECONDS,
        namespace_selector=document.get("namespaceSelector") or {},
        object_selector=document.get("objectSelector") or {},
        conditions=tuple((condition["name"], condition["expression"]) for condition in conditions),
        review_versions=tuple(document.get("admissionReviewVersions") or ()),
    )


def parse_client_config(document: Mapping[str, Any]) -> ClientConfig:
    """Return the address for reviews; a Service becomes the URL that the real server uses."""
    ca_bundle = document.get("caBundle") or ""
    service = document.get("service")
    if service is None:
        return ClientConfig(document["url"], ca_bundle)
    namespace, name = service["namespace"], service["name"]
    port = service.get("port", DEFAULT_SERVICE_PORT)
    path = (service.get("path") or "").removeprefix("/")
    return ClientConfig(
        f"https://{name}.{namespace}.svc:{port}/{path}", ca_bundle, (namespace, name)
    )
