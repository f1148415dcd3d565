"""Validate Secrets: what each type must hold. Pure."""

from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from typing import Any

from devcluster.errors import FieldCause
from devcluster.schema.config_keys import immutable_causes, key_causes
from devcluster.schema.field_problems import invalid_value, required

SECRET_LIMIT = 1048576
ACCOUNT_TOKEN = "kubernetes.io/service-account-token"  # noqa: S105 - the name of a type
ACCOUNT_NAME = "kubernetes.io/service-account.name"
REQUIRED_KEYS: Mapping[str, tuple[str, ...]] = {
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
}
BASIC_AUTH = "kubernetes.io/basic-auth"
BASIC_AUTH_KEYS = ("username", "password")  # one of them is enough

Document = Mapping[str, Any]


def with_string_data(document: Document) -> dict[str, Any]:
    """The Secret with what it says in plain text (`stringData`) as `data`."""
    written = {
        key: b64encode(value.encode()).decode()
        for key, value in (document.get("stringData") or {}).items()
    }
    completed = {key: value for key, value in document.items() if key != "stringData"}
    if written or "data" in completed:
        completed["data"] = {**(completed.get("data") or {}), **written}
    return {**completed, "type": document.get("type") or "Opaque"}


def secret_causes(document: Document, old: Document | None) -> Iterator[FieldCause]:
    """What is wrong with a Secret, given the one it replaces."""
    data, kind = document.get("data") or {}, document["type"]
    for key in data:
        yield from key_causes(key, f"data[{key}]")
    if sum(len(b64decode(value)) for value in data.values()) > SECRET_LIMIT:
        yield FieldCause(
            "FieldValueTooLong", "data", f"Too long: may not be more than {SECRET_LIMIT} bytes"
        )
    if kind == ACCOUNT_TOKEN and not (document["metadata"].get("annotations") or {}).get(
        ACCOUNT_NAME
    ):
        yield required(f"metadata.annotations[{ACCOUNT_NAME}]")
    if kind == BASIC_AUTH and not any(key in data for key in BASIC_AUTH_KEYS):
        yield from (required(f"data[{key}]") for key in BASIC_AUTH_KEYS)
    yield from (required(f"data[{key}]") for key in REQUIRED_KEYS.get(kind, ()) if key not in data)
    if old is not None:
        yield from _update_causes(document, old)


def _update_causes(document: Document, old: Document) -> Iterator[FieldCause]:
    if document["type"] != old["type"]:
        yield invalid_value("type", document["type"], "field is immutable")
    if old.get("immutable"):
        yield from immutable_causes(document, old, ("data",))
