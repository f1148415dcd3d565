"""The types of the fields of built-in kinds.

Decoding, strategic merge, server-side apply and OpenAPI use this one description.
Kinds that only have an open `spec` (`ANY`) are stored as they come. Custom resources
have schemas (`structural.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Scalar:
    """A JSON scalar.

    Attributes:
        json: what it must be in JSON.
        format: `byte` (base64), `date-time`, `micro-time`, `int32`, `int64` or `int-or-string`;
            empty for other values.
    """

    json: Literal["string", "integer", "boolean", "number"]
    format: str = ""


@dataclass(frozen=True, slots=True)
class AnyValue:
    """Taken as it comes; owned as a whole in server-side apply."""


@dataclass(frozen=True, slots=True)
class MapOf:
    """An object whose keys are the user's."""

    value: "Type"


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list.

    Attributes:
        item: what it holds.
        kind: how two lists merge: `atomic` (replaced), `set` (by value) or `map` (by key).
        keys: of a `map`.
    """

    item: "Type"
    kind: Literal["atomic", "set", "map"] = "atomic"
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Struct:
    """An object with known fields.

    Attributes:
        name: as the API calls the type.
        fields: by their names on the wire.
        atomic: replaced as a whole in server-side apply.
    """

    name: str
    fields: "Mapping[str, Type]" = field(hash=False)
    atomic: bool = False


Type = Scalar | AnyValue | MapOf | ListOf | Struct

ANY = AnyValue()
STRING = Scalar("string")
BYTES = Scalar("string", "byte")
TIME = Scalar("string", "date-time")
MICRO_TIME = Scalar("string", "micro-time")
BOOLEAN = Scalar("boolean")
INT32 = Scalar("integer", "int32")
INT64 = Scalar("integer", "int64")
STRINGS = MapOf(STRING)
STRING_LIST = ListOf(STRING)
STRING_SET = ListOf(STRING, "set")


def struct(name: str, /, **fields: Type) -> Struct:
    """A struct whose field names are valid in Python too."""
    return Struct(name, fields)


OWNER_REFERENCE = Struct(
    "OwnerReference",
    {
        "apiVersion": STRING,
        "kind": STRING,
        "name": STRING,
        "uid": STRING,
        "controller": BOOLEAN,
        "blockOwnerDeletion": BOOLEAN,
    },
    atomic=True,
)
MANAGED_FIELDS = struct(
    "ManagedFieldsEntry",
    manager=STRING,
    operation=STRING,
    apiVersion=STRING,
    time=TIME,
    fieldsType=STRING,
    fieldsV1=ANY,
    subresource=STRING,
)
OBJECT_META = struct(
    "ObjectMeta",
    name=STRING,
    generateName=STRING,
    namespace=STRING,
    selfLink=STRING,
    uid=STRING,
    resourceVersion=STRING,
    generation=INT64,
    creationTimestamp=TIME,
    deletionTimestamp=TIME,
    deletionGracePeriodSeconds=INT64,
    labels=STRINGS,
    annotations=STRINGS,
    ownerReferences=ListOf(OWNER_REFERENCE, "map", ("uid",)),
    finalizers=STRING_SET,
    managedFields=ListOf(MANAGED_FIELDS),
)
CONDITION = struct(
    "Condition",
    type=STRING,
    status=STRING,
    reason=STRING,
    message=STRING,
    observedGeneration=INT64,
    lastTransitionTime=TIME,
    lastUpdateTime=TIME,
    lastProbeTime=TIME,
)
CONDITIONS = ListOf(CONDITION, "map", ("type",))
OBJECT_REFERENCE = struct(
    "ObjectReference",
    apiVersion=STRING,
    kind=STRING,
    namespace=STRING,
    name=STRING,
    uid=STRING,
    resourceVersion=STRING,
    fieldPath=STRING,
)


def object_type(kind: str, /, **fields: Type) -> Struct:
    """The type of a whole object."""
    return Struct(kind, {"apiVersion": STRING, "kind": STRING, "metadata": OBJECT_META, **fields})


DELETE_OPTIONS = struct(
    "DeleteOptions",
    kind=STRING,
    apiVersion=STRING,
    gracePeriodSeconds=INT64,
    preconditions=struct("Preconditions", uid=STRING, resourceVersion=STRING),
    orphanDependents=BOOLEAN,
    propagationPolicy=STRING,
    dryRun=STRING_LIST,
    ignoreStoreReadErrorWithClusterBreakingPotential=BOOLEAN,
)
