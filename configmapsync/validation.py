"""Validate the rules of a spec that need only the sync.

`parsing.py` checks the single fields first. The webhook and the plugin validate what a
user applies, and the reconciler each spec that it reads, because the webhook may have
been down. `crd.py` repeats some rules as CEL. The rules over several syncs are in
`graph/`.
"""

import re
from collections.abc import Iterator, Mapping
from itertools import chain

from configmapsync.field_patterns import SUBDOMAIN
from configmapsync.fielderrors import (
    ErrorKind,
    FieldError,
    at_key,
    cut,
    forbidden,
    invalid,
    limited,
    required,
)
from configmapsync.globs import Globs, is_glob
from configmapsync.names import RESERVED_CONFIGMAPS, is_own_key, is_reserved_key
from configmapsync.resource import ConfigMapSync
from configmapsync.spec import (
    ConfigMapSyncSpec,
    LabelSelector,
    LabelSelectorRequirement,
    SelectorOperator,
)

_NAME = r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
QUALIFIED_NAME = re.compile(rf"{_NAME}")
LABEL_VALUE = re.compile(rf"({_NAME})?")
METADATA_GLOB = re.compile(r"[-A-Za-z0-9_./*?]+")
LONGEST_NAME = 63
LONGEST_PREFIX = 253
# Of all keys and values of one object together: the limit of the API server.
MOST_ANNOTATION_BYTES = 256 * 1024

NAME_WORDS = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', "
    "and must start and end with an alphanumeric character"
)
VALUE_WORDS = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', "
    "and must start and end with an alphanumeric character"
)


def validate(sync: ConfigMapSync) -> list[FieldError]:
    """Return the errors of a sync whose single fields are valid.

    The errors are in the order of the fields. After the first 20, one more counts the rest.
    """
    spec = sync.spec
    return list(
        limited(
            chain(
                _destination_errors(spec),
                _selector_errors(spec.destination_namespace_selector),
                _exclusion_errors(spec),
                _name_errors(sync),
                _key_errors(spec),
                _metadata_errors(spec),
            )
        )
    )


def doubtful_metadata(sync: ConfigMapSync) -> Iterator[str]:
    """Yield a warning for each entry of `copyMetadata` that can do harm or has no effect."""
    for path, entry in _copied_metadata(sync.spec):
        if is_glob(entry):
            continue
        if is_own_key(entry):
            yield f'{path}: "{cut(entry)}" belongs to this operator and is never copied'
        elif is_reserved_key(entry):
            yield (
                f'{path}: "{cut(entry)}" is in a reserved domain; '
                "another tool may prune or change the copies because of it"
            )


def _destination_errors(spec: ConfigMapSyncSpec) -> Iterator[FieldError]:
    if not spec.destination_patterns and spec.destination_namespace_selector is None:
        yield required(
            "spec.destinationNamespace",
            "at least one of destinationNamespace, destinationNamespaces and "
            "destinationNamespaceSelector is required",
        )


def _exclusion_errors(spec: ConfigMapSyncSpec) -> Iterator[FieldError]:
    """Reject exclusions that leave no destination."""
    named = set(spec.destination_patterns)
    everything = any(set(pattern) == {"*"} for pattern in spec.excluded_namespaces)
    only_names = spec.destination_namespace_selector is None and not any(map(is_glob, named))
    if everything or (
        named and only_names and named == Globs(spec.excluded_namespaces).among(named)
    ):
        yield invalid(
            "spec.excludedNamespaces", list(spec.excluded_namespaces), "excludes every destination"
        )


def _name_errors(sync: ConfigMapSync) -> Iterator[FieldError]:
    name = sync.destination_name
    if name in RESERVED_CONFIGMAPS:
        field = "configMapName" if name == sync.spec.config_map_name else "destinationConfigMapName"
        yield forbidden(
            f"spec.{field}",
            f'ConfigMap "{name}" is written into every namespace by the cluster itself',
        )


def _key_errors(spec: ConfigMapSyncSpec) -> Iterator[FieldError]:
    # By key of the copy: the key of the source. A repeated entry is no contradiction.
    taken: dict[str, str] = {}
    for index, selection in enumerate(spec.keys):
        path = f"spec.keys[{index}]"
        if is_glob(selection.key):
            if selection.as_ is not None:
                yield forbidden(
                    f"{path}.as", "may only be set where key is an exact key, not a glob"
                )
            continue
        name = selection.as_ or selection.key
        if taken.setdefault(name, selection.key) != selection.key:
            field = "as" if selection.as_ else "key"
            yield FieldError(f"{path}.{field}", ErrorKind.DUPLICATE, name)


def _metadata_errors(spec: ConfigMapSyncSpec) -> Iterator[FieldError]:
    yield from label_errors(spec.metadata.labels, "spec.metadata.labels")
    for key in spec.metadata.annotations:
        yield from _metadata_key_errors(key, at_key("spec.metadata.annotations", key))
    if (
        sum(len(text.encode()) for entry in spec.metadata.annotations.items() for text in entry)
        > MOST_ANNOTATION_BYTES
    ):
        detail = f"may not be more than {MOST_ANNOTATION_BYTES} bytes"
        yield FieldError("spec.metadata.annotations", ErrorKind.TOO_LONG, detail=detail)
    for part, keys in (
        ("labels", spec.metadata.labels),
        ("annotations", spec.metadata.annotations),
    ):
        for key in filter(is_own_key, keys):
            path = at_key(f"spec.metadata.{part}", key)
            yield forbidden(path, "is one of the marks by which a copy is known")
    for path, pattern in _copied_metadata(spec):
        if not METADATA_GLOB.fullmatch(pattern):
            yield invalid(path, pattern, "must be a key, or a glob (* and ?) over keys")


def _copied_metadata(spec: ConfigMapSyncSpec) -> Iterator[tuple[str, str]]:
    """Yield path and text of each entry of `copyMetadata`."""
    allowed = spec.copy_metadata
    for part, patterns in (("labels", allowed.labels), ("annotations", allowed.annotations)):
        for index, pattern in enumerate(patterns):
            yield f"spec.copyMetadata.{part}[{index}]", pattern


def _selector_errors(selector: LabelSelector | None) -> Iterator[FieldError]:
    if selector is None:
        return
    path = "spec.destinationNamespaceSelector"
    yield from label_errors(selector.match_labels, f"{path}.matchLabels")
    for index, requirement in enumerate(selector.match_expressions):
        yield from _requirement_errors(requirement, f"{path}.matchExpressions[{index}]")


def _requirement_errors(requirement: LabelSelectorRequirement, path: str) -> Iterator[FieldError]:
    yield from _metadata_key_errors(requirement.key, f"{path}.key")
    for index, value in enumerate(requirement.values):
        yield from _label_value_errors(value, f"{path}.values[{index}]")
    if requirement.operator in {SelectorOperator.IN, SelectorOperator.NOT_IN}:
        if not requirement.values:
            yield required(f"{path}.values", "must be specified when `operator` is 'In' or 'NotIn'")
    elif requirement.values:
        yield forbidden(
            f"{path}.values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
        )


def label_errors(labels: Mapping[str, str], path: str) -> Iterator[FieldError]:
    """Yield the errors of labels, each with its path below `path`."""
    for key, value in labels.items():
        yield from _metadata_key_errors(key, at_key(path, key))
        yield from _label_value_errors(value, at_key(path, key))


def _metadata_key_errors(key: str, path: str) -> Iterator[FieldError]:
    prefix, slash, name = key.rpartition("/")
    if slash and (not re.fullmatch(SUBDOMAIN, prefix) or len(prefix) > LONGEST_PREFIX):
        yield invalid(
            path,
            key,
            "prefix part must be a lowercase RFC 1123 subdomain of at most 253 characters",
        )
    if len(name) > LONGEST_NAME:
        yield invalid(path, key, f"name part must be no more than {LONGEST_NAME} bytes")
    elif not QUALIFIED_NAME.fullmatch(name):
        yield invalid(path, key, NAME_WORDS)


def _label_value_errors(value: str, path: str) -> Iterator[FieldError]:
    if not LABEL_VALUE.fullmatch(value):
        yield invalid(path, value, VALUE_WORDS)
