"""Default and validate webhook configurations. Pure.

`webhook.py` reads what has passed here.
"""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import SplitResult, urlsplit

from devcluster.admission.review import SUPPORTED_VERSIONS
from devcluster.admission.rules_validation import rule_problems
from devcluster.admission.webhook import DEFAULT_SERVICE_PORT, DEFAULT_TIMEOUT_SECONDS
from devcluster.errors import FieldCause
from devcluster.schema.cel_programs import syntax_problem
from devcluster.schema.field_problems import (
    SUBDOMAIN_RULE,
    duplicate,
    invalid_value,
    is_subdomain,
    label_key_problem,
    required,
    subdomain_problem,
    unsupported,
)
from devcluster.schema.label_selector import selector_causes

Document = Mapping[str, Any]
MUTATING = "MutatingWebhookConfiguration"
URL_FORM = "desired format: https://host[/path]"
MAX_TIMEOUT_SECONDS = 30
NAME_SEGMENTS = 3


def with_defaults(configuration: Document) -> dict[str, Any]:
    """Fill in what a webhook configuration leaves open."""
    mutating = configuration["kind"] == MUTATING
    webhooks = [
        _webhook_with_defaults(webhook, mutating=mutating)
        for webhook in configuration.get("webhooks") or ()
    ]
    return {**configuration, "webhooks": webhooks} if webhooks else dict(configuration)


def _webhook_with_defaults(webhook: Document, *, mutating: bool) -> dict[str, Any]:
    filled = {
        "failurePolicy": "Fail",
        "matchPolicy": "Equivalent",
        "namespaceSelector": {},
        "objectSelector": {},
        "timeoutSeconds": DEFAULT_TIMEOUT_SECONDS,
        **({"reinvocationPolicy": "Never"} if mutating else {}),
        **webhook,
    }
    if filled.get("rules"):
        filled["rules"] = [{"scope": "*", **rule} for rule in filled["rules"]]
    client = filled.get("clientConfig") or {}
    if client.get("service"):
        filled["clientConfig"] = {
            **client,
            "service": {"port": DEFAULT_SERVICE_PORT, **client["service"]},
        }
    return filled


def configuration_problems(configuration: Document) -> list[FieldCause]:
    """List everything wrong with a (defaulted) webhook configuration."""
    mutating = configuration["kind"] == MUTATING
    problems: list[FieldCause] = []
    names: set[str] = set()
    for index, webhook in enumerate(configuration.get("webhooks") or ()):
        field = f"webhooks[{index}]"
        problems += _name_problems(webhook.get("name") or "", f"{field}.name")
        if webhook.get("name") in names:
            problems.append(duplicate(f"{field}.name", webhook["name"]))
        names.add(webhook.get("name") or "")
        problems += _webhook_problems(webhook, field, mutating=mutating)
    return problems


def _webhook_problems(webhook: Document, field: str, *, mutating: bool) -> Iterator[FieldCause]:
    for position, rule in enumerate(webhook.get("rules") or ()):
        yield from rule_problems(rule, f"{field}.rules[{position}]")
    yield from _one_of(webhook, "failurePolicy", ("Fail", "Ignore"), field)
    yield from _one_of(webhook, "matchPolicy", ("Equivalent", "Exact"), field)
    yield from _side_effects_problems(webhook, field)
    if not 1 <= webhook["timeoutSeconds"] <= MAX_TIMEOUT_SECONDS:
        why = f"the timeout value must be between 1 and {MAX_TIMEOUT_SECONDS} seconds"
        yield invalid_value(f"{field}.timeoutSeconds", webhook["timeoutSeconds"], why)
    for selector in ("namespaceSelector", "objectSelector"):
        yield from selector_causes(webhook.get(selector) or {}, f"{field}.{selector}")
    yield from _client_problems(webhook.get("clientConfig") or {}, f"{field}.clientConfig")
    yield from _version_problems(
        webhook.get("admissionReviewVersions") or (), f"{field}.admissionReviewVersions"
    )
    yield from _condition_problems(webhook.get("matchConditions") or (), f"{field}.matchConditions")
    if mutating:
        yield from _one_of(webhook, "reinvocationPolicy", ("IfNeeded", "Never"), field)


def _name_problems(name: str, field: str) -> Iterator[FieldCause]:
    if not name:
        yield required(field)
    elif not is_subdomain(name):
        yield subdomain_problem(field, name)
    elif len(name.split(".")) < NAME_SEGMENTS:
        yield invalid_value(
            field, name, "should be a domain with at least three segments separated by dots"
        )


def _one_of(
    webhook: Document, key: str, known: tuple[str, ...], field: str
) -> Iterator[FieldCause]:
    if webhook[key] not in known:
        yield unsupported(f"{field}.{key}", webhook[key], known)


def _side_effects_problems(webhook: Document, field: str) -> Iterator[FieldCause]:
    """Allow only the two values that make a webhook safe to call for a dry run."""
    if not webhook.get("sideEffects"):
        yield required(f"{field}.sideEffects", "must specify one of None, NoneOnDryRun")
    else:
        yield from _one_of(webhook, "sideEffects", ("None", "NoneOnDryRun"), field)


def _client_problems(client: Document, field: str) -> Iterator[FieldCause]:
    url, service = client.get("url"), client.get("service")
    if (url is None) == (service is None):
        yield required(field, "exactly one of url or service is required")
    elif url is not None:
        yield from _url_problems(url, f"{field}.url")
    elif service is not None:
        yield from _service_problems(service, f"{field}.service")


def _url_problems(url: str, field: str) -> Iterator[FieldCause]:
    try:
        parts = urlsplit(url)
    except ValueError as error:
        yield required(field, f"url must be a valid URL: {error}; {URL_FORM}")
        return
    if parts.scheme != "https":
        yield invalid_value(
            field, parts.scheme, f"'https' is the only allowed URL scheme; {URL_FORM}"
        )
    if not parts.hostname:
        yield invalid_value(field, parts.netloc, f"host must be specified; {URL_FORM}")
    for value, what in _unwanted_parts(parts):
        if value:
            yield invalid_value(field, value, f"{what} not permitted in the URL")


def _unwanted_parts(parts: SplitResult) -> Iterator[tuple[str, str]]:
    user = parts.netloc.rpartition("@")[0]
    yield user, "user information is"
    yield parts.fragment, "fragments are"
    yield parts.query, "query parameters are"


def _service_problems(service: Document, field: str) -> Iterator[FieldCause]:
    for key in ("name", "namespace"):
        if not service.get(key):
            yield required(f"{field}.{key}")
    if not 1 <= service["port"] <= 65535:
        why = "port is not valid: must be between 1 and 65535, inclusive"
        yield invalid_value(f"{field}.port", service["port"], why)
    path = service.get("path")
    if path is None or path == "/":
        return
    if not path.startswith("/"):
        yield invalid_value(f"{field}.path", path, "must start with a '/'")
    for index, segment in enumerate(path[1:].removesuffix("/").split("/")):
        if not segment:
            yield invalid_value(f"{field}.path", path, f"segment[{index}] may not be empty")
        elif not is_subdomain(segment):
            yield invalid_value(f"{field}.path", path, f"segment[{index}]: {SUBDOMAIN_RULE}")


def _version_problems(versions: list[str] | tuple[()], field: str) -> Iterator[FieldCause]:
    if not versions:
        yield required(field, f"must specify one of {', '.join(SUPPORTED_VERSIONS)}")
        return
    for index, version in enumerate(versions):
        if version in versions[:index]:
            yield invalid_value(f"{field}[{index}]", version, "duplicate version")
    if not set(versions) & set(SUPPORTED_VERSIONS):
        yield invalid_value(
            field, list(versions), f"must include at least one of {', '.join(SUPPORTED_VERSIONS)}"
        )


def _condition_problems(conditions: list[Document] | tuple[()], field: str) -> Iterator[FieldCause]:
    names: set[str] = set()
    for index, condition in enumerate(conditions):
        expression, name = condition.get("expression") or "", condition.get("name") or ""
        if not expression.strip():
            yield required(f"{field}[{index}].expression")
        elif problem := syntax_problem(expression):
            yield invalid_value(f"{field}[{index}].expression", expression, problem)
        if not name:
            yield required(f"{field}[{index}].name")
        elif name in names:
            yield duplicate(f"{field}[{index}].name", name)
        elif problem := label_key_problem(name):
            yield invalid_value(f"{field}[{index}].name", name, problem)
        names.add(name)
