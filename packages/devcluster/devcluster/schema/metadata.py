"""Fill in and validate object metadata: names, labels, finalizers, owners. Pure."""

import re
import secrets
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from devcluster.errors import FieldCause
from devcluster.schema.field_problems import invalid_value, required

SUBDOMAIN = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
QUALIFIED = r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
SUBDOMAIN_WORDS = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' "
    "or '.', and must start and end with an "
    f"alphanumeric character (e.g. 'example.com', regex used for validation is '{SUBDOMAIN}')"
)
LABEL_WORDS = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', "
    "and must start and end with an "
    "alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    f"'{LABEL}')"
)
QUALIFIED_WORDS = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
    "alphanumeric character "
    f"(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '{QUALIFIED}')"
)
VALUE_WORDS = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or "
    "'.', and must start and end with an "
    "alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for "
    f"validation is '({QUALIFIED})?')"
)
STANDARD_FINALIZERS = frozenset({"kubernetes", "orphan", "foregroundDeletion"})
LABEL_LIMIT = 63
ANNOTATIONS_LIMIT = 262144
# The alphabet of Kubernetes for generated names: no vowels, no letters that look like digits.
RANDOM_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
RANDOM_LENGTH = 5
LONGEST_PREFIX = 58  # so that a generated name fits a label
SERVER_FIELDS = (
    "uid",
    "selfLink",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "resourceVersion",
)

TOLD = 2  # the real server validates updates of metadata twice, and lists each cause twice
DELETION = ("deletionTimestamp", "deletionGracePeriodSeconds")

Metadata = Mapping[str, Any]
Document = Mapping[str, Any]


def generated_name(prefix: str) -> str:
    """A name that begins with `prefix`."""
    return prefix[:LONGEST_PREFIX] + "".join(
        secrets.choice(RANDOM_LETTERS) for _ in range(RANDOM_LENGTH)
    )


def placed(document: Document, *, namespace: str, keep: Collection[str] = ()) -> dict[str, Any]:
    """Return the document in its namespace, without server fields except those in `keep`."""
    given = document.get("metadata") or {}
    metadata = {
        key: value for key, value in given.items() if key not in SERVER_FIELDS or key in keep
    }
    if not namespace:
        metadata.pop("namespace", None)
    if namespace:
        metadata["namespace"] = namespace
    return {**document, "metadata": _without_empty(metadata)}


def named(document: Document, *, namespace: str) -> dict[str, Any]:
    """The placed document with a name, a generated one where it asks for that."""
    begun = placed(document, namespace=namespace)
    metadata = begun["metadata"]
    if not metadata.get("name") and metadata.get("generateName"):
        metadata["name"] = generated_name(metadata["generateName"])
    return begun


def for_create(document: Document, *, namespace: str, uid: str, now: str) -> dict[str, Any]:
    """The document with the metadata that a new object gets."""
    begun = named(document, namespace=namespace)
    return {**begun, "metadata": begun["metadata"] | {"uid": uid, "creationTimestamp": now}}


def for_update(document: Document, old: Document) -> dict[str, Any]:
    """The document with what an update cannot change taken from the old one."""
    metadata = {
        key: value for key, value in document.get("metadata", {}).items() if key != "selfLink"
    }
    before = old["metadata"]
    metadata["name"] = before["name"]
    for key in ("namespace", "creationTimestamp", "generation"):
        metadata[key] = before.get(key)
    metadata["uid"] = metadata.get("uid") or before["uid"]
    for key in DELETION:
        metadata[key] = before.get(key, metadata.get(key))
    if metadata.get("managedFields") == []:
        metadata["managedFields"] = [{}]  # an explicit empty list removes all owners
    return {**document, "metadata": _without_empty(metadata)}


def with_managed_fields(document: Document, entries: Any) -> dict[str, Any]:
    """The document with these managedFields and no others."""
    metadata = {key: value for key, value in document["metadata"].items() if key != "managedFields"}
    return {**document, "metadata": metadata | ({"managedFields": entries} if entries else {})}


def _without_empty(metadata: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in metadata.items() if value not in (None, "", [], {})}


def name_causes(metadata: Metadata, *, dots: bool = True) -> Iterator[FieldCause]:
    """What is wrong with the name of a new object."""
    if prefix := metadata.get("generateName"):
        yield from _name_causes(
            prefix.rstrip("-"), "metadata.generateName", dots=dots, shown=prefix
        )
    if not metadata.get("name"):
        yield required("metadata.name", "name or generateName is required")
    else:
        yield from _name_causes(metadata["name"], "metadata.name", dots=dots)


def _name_causes(
    name: str, field: str, *, dots: bool, shown: str | None = None
) -> Iterator[FieldCause]:
    shown = name if shown is None else shown
    if not dots and "." in name:
        yield invalid_value(field, shown, "must not contain dots")
        return
    longest = 253 if dots else 63
    if len(name) > longest:
        yield invalid_value(field, shown, f"must be no more than {longest} characters")
    elif not re.fullmatch(SUBDOMAIN if dots else LABEL, name):
        yield invalid_value(field, shown, SUBDOMAIN_WORDS if dots else LABEL_WORDS)


def metadata_causes(metadata: Metadata) -> Iterator[FieldCause]:
    """What is wrong with labels, annotations, finalizers and owner references."""
    if (generation := metadata.get("generation") or 0) < 0:
        yield invalid_value("metadata.generation", generation, "must be greater than or equal to 0")
    for key, value in (metadata.get("labels") or {}).items():
        yield from _label_causes(key, value)
    annotations = metadata.get("annotations") or {}
    for key in annotations:
        yield from (
            invalid_value("metadata.annotations", key, problem)
            for problem in key_problems(key.lower())
        )
    if (
        sum(len(key) + len(value.encode()) for key, value in annotations.items())
        > ANNOTATIONS_LIMIT
    ):
        yield FieldCause(
            "FieldValueTooLong",
            "metadata.annotations",
            f"Too long: may not be more than {ANNOTATIONS_LIMIT} bytes",
        )
    yield from _finalizer_causes(metadata.get("finalizers") or ())
    yield from _owner_causes(metadata.get("ownerReferences") or ())


def _label_causes(key: str, value: str) -> Iterator[FieldCause]:
    field = "metadata.labels"
    yield from (invalid_value(field, key, problem) for problem in key_problems(key))
    if (problem := value_problem(value)) is not None:
        yield invalid_value(field, value, problem)


def key_problems(key: str) -> Iterator[str]:
    """What is wrong with the key of a label, or another name that may have a prefix."""
    if key.count("/") > 1:
        yield (
            f"a valid label key {QUALIFIED_WORDS} with an optional DNS subdomain prefix and '/' "
            "(e.g. 'example.com/MyName')"
        )
        return
    prefix, slash, name = key.rpartition("/")
    if slash and not prefix:
        yield "prefix part must be non-empty"
    elif slash and not re.fullmatch(SUBDOMAIN, prefix):
        yield f"prefix part {SUBDOMAIN_WORDS}"
    if not name:
        yield "name part must be non-empty"
    elif len(name) > LABEL_LIMIT:
        yield f"name part must be no more than {LABEL_LIMIT} bytes"
    if not re.fullmatch(QUALIFIED, name):
        yield f"name part {QUALIFIED_WORDS}"


def value_problem(value: str) -> str | None:
    """What is wrong with the value of a label."""
    if len(value.encode()) > LABEL_LIMIT:
        return f"must be no more than {LABEL_LIMIT} bytes"
    return None if re.fullmatch(f"({QUALIFIED})?", value) else VALUE_WORDS


def _finalizer_causes(finalizers: Any) -> Iterator[FieldCause]:
    if {"orphan", "foregroundDeletion"} <= set(finalizers):
        why = "finalizer orphan and foregroundDeletion cannot be both set"
        yield invalid_value("metadata.finalizers", list(finalizers), why)
    for finalizer in finalizers:
        yield from (
            invalid_value("metadata.finalizers", finalizer, problem)
            for problem in key_problems(finalizer)
        )
    for index, finalizer in enumerate(finalizers):
        if "/" not in finalizer and finalizer not in STANDARD_FINALIZERS:
            why = "name is neither a standard finalizer name nor is it fully qualified"
            yield invalid_value(f"metadata.finalizers[{index}]", finalizer, why)


def _owner_causes(owners: Any) -> Iterator[FieldCause]:
    for owner in owners:
        for key in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(key) or (key == "apiVersion" and owner[key].count("/") > 1):
                what = "version " if key == "apiVersion" else ""
                yield invalid_value(
                    f"metadata.ownerReferences.{key}",
                    owner.get(key, ""),
                    f"{what}must not be empty",
                )
        if (owner.get("apiVersion"), owner.get("kind")) == ("v1", "Event"):
            yield invalid_value(
                "metadata.ownerReferences",
                owner,
                "/v1, Kind=Event is disallowed from being an owner",
            )
    controllers = [owner for owner in owners if owner.get("controller")]
    if len(controllers) > 1:
        first, second = (
            f"{owner.get('kind', '')}/{owner.get('name', '')}" for owner in controllers[:2]
        )
        why = (
            'Only one reference can have Controller set to true. Found "true" in references for '
            f"{first} and {second}"
        )
        yield invalid_value("metadata.ownerReferences", list(owners), why)


def update_causes(metadata: Metadata, before: Metadata) -> Iterator[FieldCause]:
    """What an update may not do to metadata."""
    yield from metadata_causes(metadata)
    if metadata.get("uid") != before["uid"]:
        yield from [invalid_value("metadata.uid", metadata.get("uid"), "field is immutable")] * TOLD
    for key in DELETION:
        if metadata.get(key) != before.get(key):
            yield from [
                invalid_value(f"metadata.{key}", metadata[key], "field is immutable")
            ] * TOLD
    if before.get("deletionTimestamp"):
        new = [
            name
            for name in metadata.get("finalizers") or ()
            if name not in (before.get("finalizers") or ())
        ]
        if new:
            listed = ", ".join(f'"{name}"' for name in new)
            why = (
                "Forbidden: no new finalizers can be added if the object is being deleted, found "
                f"new finalizers []string{{{listed}}}"
            )
            yield from [FieldCause("FieldValueForbidden", "metadata.finalizers", why)] * TOLD
