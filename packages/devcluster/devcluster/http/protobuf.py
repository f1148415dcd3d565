"""Read the protobuf bodies that kubectl sends as JSON documents.

Only the messages below are known, with the field numbers of the Kubernetes API; other
kinds are refused. An empty text means that the field is not set, because clients
write every text. Answers are never protobuf.
"""

import base64
import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from devcluster.errors import ApiStatus, bad_request

MAGIC = b"k8s\x00"
VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5  # wire types


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a message.

    Attributes:
        name: in JSON.
        type: `string`, `bool`, `int`, `count` (0 means absent), `bytes`, `time`, or the name of a
            message.
        many: `list` or `map` (with texts as keys).
    """

    name: str
    type: str = "string"
    many: str = ""


Message = Mapping[int, Field]


def _texts(names: str) -> dict[int, Field]:
    """Fields 1, 2, ... that are texts; a `*` marks a list."""
    return {
        number: Field(name.rstrip("*"), many="list" if name.endswith("*") else "")
        for number, name in enumerate(names.split(), 1)
    }


def _object(**messages: str) -> dict[int, Field]:
    """A whole object: metadata, then messages in the order of their numbers."""
    named = {"metadata": "ObjectMeta", **messages}
    return {number: Field(name, type_) for number, (name, type_) in enumerate(named.items(), 1)}


MESSAGES: dict[str, Message] = {
    "ObjectMeta": {
        **_texts("name generateName namespace selfLink uid resourceVersion"),
        7: Field("generation", "count"),
        8: Field("creationTimestamp", "time"),
        9: Field("deletionTimestamp", "time"),
        10: Field("deletionGracePeriodSeconds", "int"),
        11: Field("labels", many="map"),
        12: Field("annotations", many="map"),
        13: Field("ownerReferences", "OwnerReference", "list"),
        14: Field("finalizers", many="list"),
    },
    "OwnerReference": {
        1: Field("kind"),
        3: Field("name"),
        4: Field("uid"),
        5: Field("apiVersion"),
        6: Field("controller", "bool"),
        7: Field("blockOwnerDeletion", "bool"),
    },
    "DeleteOptions": {
        1: Field("gracePeriodSeconds", "int"),
        2: Field("preconditions", "Preconditions"),
        3: Field("orphanDependents", "bool"),
        4: Field("propagationPolicy"),
        5: Field("dryRun", many="list"),
    },
    "Preconditions": _texts("uid resourceVersion"),
    "LabelSelector": {
        1: Field("matchLabels", many="map"),
        2: Field("matchExpressions", "LabelSelectorRequirement", "list"),
    },
    "LabelSelectorRequirement": _texts("key operator values*"),
    "Namespace": _object(spec="NamespaceSpec"),
    "NamespaceSpec": _texts("finalizers*"),
    "ConfigMap": {
        **_object(),
        2: Field("data", many="map"),
        3: Field("binaryData", "bytes", "map"),
        4: Field("immutable", "bool"),
    },
    "Secret": {
        **_object(),
        2: Field("data", "bytes", "map"),
        3: Field("type"),
        4: Field("stringData", many="map"),
        5: Field("immutable", "bool"),
    },
    "ServiceAccount": {
        **_object(),
        2: Field("secrets", "ObjectReference", "list"),
        3: Field("imagePullSecrets", "LocalObjectReference", "list"),
        4: Field("automountServiceAccountToken", "bool"),
    },
    "ObjectReference": _texts("kind namespace name uid apiVersion resourceVersion fieldPath"),
    "LocalObjectReference": _texts("name"),
    "ResourceQuota": _object(spec="ResourceQuotaSpec"),
    "ResourceQuotaSpec": {1: Field("hard", "Quantity", "map"), 2: Field("scopes", many="list")},
    "Role": {**_object(), 2: Field("rules", "PolicyRule", "list")},
    "ClusterRole": {
        **_object(),
        2: Field("rules", "PolicyRule", "list"),
        3: Field("aggregationRule", "AggregationRule"),
    },
    "AggregationRule": {1: Field("clusterRoleSelectors", "LabelSelector", "list")},
    "PolicyRule": _texts("verbs* apiGroups* resources* resourceNames* nonResourceURLs*"),
    "RoleBinding": {
        **_object(),
        2: Field("subjects", "Subject", "list"),
        3: Field("roleRef", "RoleRef"),
    },
    "ClusterRoleBinding": {
        **_object(),
        2: Field("subjects", "Subject", "list"),
        3: Field("roleRef", "RoleRef"),
    },
    "Subject": _texts("kind apiGroup name namespace"),
    "RoleRef": _texts("apiGroup kind name"),
    "SelfSubjectAccessReview": _object(spec="SelfSubjectAccessReviewSpec"),
    "SelfSubjectAccessReviewSpec": {
        1: Field("resourceAttributes", "ResourceAttributes"),
        2: Field("nonResourceAttributes", "NonResourceAttributes"),
    },
    "ResourceAttributes": _texts("namespace verb group version resource subresource name"),
    "NonResourceAttributes": _texts("path verb"),
    "SelfSubjectRulesReview": _object(spec="SelfSubjectRulesReviewSpec"),
    "SelfSubjectRulesReviewSpec": _texts("namespace"),
    "SelfSubjectReview": _object(),
    "TokenRequest": _object(spec="TokenRequestSpec"),
    "TokenRequestSpec": {
        1: Field("audiences", many="list"),
        4: Field("expirationSeconds", "int"),
    },
}
TIME: Message = {1: Field("seconds", "int")}
LONE_FIELD: Message = {1: Field("value", many="list")}  # messages that stand for their only field
UNKNOWN: Message = {1: Field("typeMeta", "TypeMeta"), 2: Field("raw", "raw")}
TYPE_META: Message = _texts("apiVersion kind")


def decode(body: bytes) -> dict[str, Any]:
    """Read a body of media type application/vnd.kubernetes.protobuf.

    Raises:
        ApiStatus: 400 where it cannot be read, 415 where its kind is not known here.
    """
    if not body.startswith(MAGIC):
        raise bad_request(
            "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]"
        )
    try:
        envelope = _message(body[len(MAGIC) :], UNKNOWN)
        kind = envelope.get("typeMeta", {}).get("kind", "")
        if kind not in MESSAGES:
            raise ApiStatus(
                415,
                "UnsupportedMediaType",
                f"{kind or 'this'} is not understood as protobuf here: send JSON",
            )
        return {**envelope["typeMeta"], **_message(envelope.get("raw", b""), MESSAGES[kind])}
    except (IndexError, ValueError, OverflowError) as error:
        raise bad_request(f"the body of the request is no valid protobuf: {error}") from error


def _message(data: bytes, message: Message) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for number, raw in _fields(data):
        field = message.get(number)
        if field is None:
            continue
        if field.many == "map":
            entry = _message(_bytes(raw), {1: Field("key"), 2: Field("value", field.type)})
            found.setdefault(field.name, {})[entry.get("key", "")] = entry.get("value", "")
        elif field.many == "list":
            found.setdefault(field.name, []).append(_value(raw, field.type))
        else:
            value = _value(raw, field.type)
            if value not in ("", {}, None):
                found[field.name] = value
    return found


def _value(raw: int | bytes, type_: str) -> Any:
    match type_:
        case "string":
            return _bytes(raw).decode()
        case "bool":
            return bool(raw)
        case "int":
            return _signed(raw)
        case "count":
            return _signed(raw) or None
        case "bytes":
            return base64.b64encode(_bytes(raw)).decode()
        case "raw":
            return raw
        case "time":
            return _time(_message(_bytes(raw), TIME))
        case "Quantity":
            return "".join(_message(_bytes(raw), LONE_FIELD).get("value", ()))
        case "TypeMeta":
            return _message(_bytes(raw), TYPE_META)
    return _message(_bytes(raw), MESSAGES[type_])


def _time(parts: Mapping[str, int]) -> str | None:
    if not parts:
        return None
    moment = dt.datetime.fromtimestamp(parts.get("seconds", 0), dt.UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The numbers and raw values of a message, in the order they were written."""
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        number, wire_type = tag >> 3, tag & 7
        if wire_type == VARINT:
            value, position = _varint(data, position)
            yield number, value
            continue
        if wire_type == LENGTH:
            length, position = _varint(data, position)
        elif wire_type in (FIXED64, FIXED32):
            length = 8 if wire_type == FIXED64 else 4
        else:
            raise ValueError(f"wire type {wire_type}")
        if position + length > len(data):
            raise ValueError("unexpected end")
        yield number, data[position : position + length]
        position += length


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return value, position


def _signed(raw: int | bytes) -> int:
    number = raw if isinstance(raw, int) else int.from_bytes(raw, "little")
    return number - (1 << 64) if number >= 1 << 63 else number


def _bytes(raw: int | bytes) -> bytes:
    if isinstance(raw, int):
        raise ValueError("a number stands where a text or message should")  # noqa: TRY004 - what was sent is wrong, not a type here
    return raw
