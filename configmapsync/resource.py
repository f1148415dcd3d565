"""ConfigMapSync as pydantic models: the one source of the CRD (`crd.py`) and of everything that reads a resource.

The wire is camelCase and strict in `spec`: a field nobody knows is an error with its path, never silently ignored. What an unset field
means is `defaulting.py`'s; rules over several fields are `validation.py`'s.
"""

import json
from collections.abc import Mapping
from datetime import UTC
from enum import StrEnum
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    StrictBool,
    ValidationError,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from configmapsync.field_patterns import (
    DATA_KEY,
    DATA_KEY_GLOB,
    LABEL,
    LABEL_GLOB,
    MOST_ITEMS,
    SUBDOMAIN,
    field_errors,
    size_errors,
)
from configmapsync.fielderrors import FieldError, limited
from configmapsync.globs import MOST_GENERAL_CHARACTERS, general_characters
from configmapsync.names import NamespacedName

MOST_NAMES = MOST_ITEMS
MOST_KEYS = 256
MOST_METADATA = 64
MOST_CONDITIONS = 16
MOST_LISTED_FAILURES = 20  # what a person reads; the counts have the rest
LARGEST_DOCUMENT = 8 * 1024 * 1024  # bytes; the API server takes at most 3 MiB

NamespaceName = Annotated[str, Field(min_length=1, max_length=63, pattern=LABEL)]
NamespacePattern = Annotated[str, Field(min_length=1, max_length=63, pattern=LABEL_GLOB)]
ConfigMapName = Annotated[str, Field(min_length=1, max_length=253, pattern=SUBDOMAIN)]
DataKey = Annotated[str, Field(min_length=1, max_length=253, pattern=DATA_KEY)]
DataKeyPattern = Annotated[str, Field(min_length=1, max_length=253, pattern=DATA_KEY_GLOB)]
MetadataKey = Annotated[
    str, Field(min_length=1, max_length=317)
]  # 253 of prefix, a slash, 63 of name
LabelValue = Annotated[str, Field(max_length=63)]
AnnotationValue = Annotated[str, Field(max_length=65536)]

# Times have whole seconds and are UTC, as the API server keeps them: a time read back must be equal to the one written.
Timestamp = Annotated[
    AwareDatetime,
    AfterValidator(lambda moment: moment.astimezone(UTC).replace(microsecond=0)),
    PlainSerializer(lambda moment: moment.strftime("%Y-%m-%dT%H:%M:%SZ"), when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]


class ConflictPolicy(StrEnum):
    """What to do where an unmanaged ConfigMap already has the name of a copy."""

    FAIL = "Fail"
    ADOPT = "Adopt"


class DeletionPolicy(StrEnum):
    """What becomes of a copy when the sync goes or its namespace is no longer selected."""

    DELETE = "Delete"
    ORPHAN = "Orphan"


class SourceDeletionPolicy(StrEnum):
    """What becomes of the copies when the source goes."""

    RETAIN = "Retain"
    DELETE = "Delete"


class SelectorOperator(StrEnum):
    """How a label selector requirement compares."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


def _checked_globs(patterns: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse lists of globs that would be expensive to match."""
    if general_characters(patterns) > MOST_GENERAL_CHARACTERS:
        raise PydanticCustomError(
            "globs_too_long",
            "globs with ?, or with * elsewhere than at one end, may have {most} characters together",
            {"most": MOST_GENERAL_CHARACTERS},
        )
    return patterns


def _checked_keys(keys: tuple["KeySelection", ...]) -> tuple["KeySelection", ...]:
    _checked_globs(tuple(selection.key for selection in keys))
    return keys


NamespacePatterns = Annotated[
    tuple[NamespacePattern, ...], Field(max_length=MOST_NAMES), AfterValidator(_checked_globs)
]
MetadataPatterns = Annotated[
    tuple[MetadataKey, ...], Field(max_length=MOST_METADATA), AfterValidator(_checked_globs)
]


class _Model(BaseModel):
    """What we read and write: camelCase, immutable, and nothing unknown."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True
    )


class _Lenient(BaseModel):
    """What others may have extended: what we do not know is left aside."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True
    )


class LabelSelectorRequirement(_Model):
    """One requirement on one label key."""

    key: MetadataKey = Field(description="The label key.")
    operator: SelectorOperator = Field(description="In, NotIn, Exists or DoesNotExist.")
    values: tuple[LabelValue, ...] = Field(
        default=(),
        max_length=MOST_NAMES,
        description="Required for In and NotIn; must be empty for Exists and DoesNotExist.",
    )


class LabelSelector(_Model):
    """A standard label selector; all requirements must hold, and an empty one selects everything."""

    match_labels: dict[MetadataKey, LabelValue] = Field(
        default_factory=dict,
        max_length=MOST_METADATA,
        description="Labels that must be there with exactly these values.",
    )
    match_expressions: tuple[LabelSelectorRequirement, ...] = Field(
        default=(), max_length=MOST_METADATA, description="Requirements that must all hold."
    )


class KeySelection(_Model):
    """Which key of the source is copied, and under what name."""

    key: DataKeyPattern = Field(
        description="A key, or a glob (* and ?) over the keys of data and binaryData."
    )
    as_: DataKey | None = Field(
        default=None,
        alias="as",
        description="The key in the copy; only where `key` is an exact key. Default: the same.",
    )


class CopyMetadata(_Model):
    """Labels and annotations that every copy gets."""

    labels: dict[MetadataKey, LabelValue] = Field(
        default_factory=dict, max_length=MOST_METADATA, description="Labels put on every copy."
    )
    annotations: dict[MetadataKey, AnnotationValue] = Field(
        default_factory=dict, max_length=MOST_METADATA, description="Annotations put on every copy."
    )


class CopyMetadataAllowList(_Model):
    """Which labels and annotations of the source are taken over; by default none."""

    labels: MetadataPatterns = Field(
        default=(),
        description="Keys or globs of labels taken over from the source. Globs do not match keys of kubernetes.io, k8s.io and of other tools.",
    )
    annotations: MetadataPatterns = Field(
        default=(),
        description="Keys or globs of annotations taken over from the source. Globs do not match keys of kubernetes.io, k8s.io and of other tools.",
    )


class ConfigMapSyncSpec(_Model):
    """Which ConfigMap is copied where, how much of it, and by which policies."""

    source_namespace: NamespaceName | None = Field(
        default=None,
        description="The namespace of the source. Default: the namespace of this resource.",
    )
    config_map_name: ConfigMapName = Field(description="The name of the source ConfigMap.")
    destination_namespace: NamespaceName | None = Field(
        default=None,
        description="A namespace that gets a copy: the short form of destinationNamespaces.",
    )
    destination_namespaces: NamespacePatterns = Field(
        default=(),
        description='Namespaces that get a copy, as names or anchored globs (* and ?). ["*"] is every namespace.',
    )
    destination_namespace_selector: LabelSelector | None = Field(
        default=None,
        description="Namespaces that get a copy, by their labels. {} selects every namespace.",
    )
    excluded_namespaces: NamespacePatterns = Field(
        default=(),
        description="Names or globs of namespaces that never get a copy; wins over all others.",
    )
    destination_config_map_name: ConfigMapName | None = Field(
        default=None, description="The name of the copies. Default: configMapName."
    )
    keys: Annotated[
        tuple[KeySelection, ...], Field(max_length=MOST_KEYS), AfterValidator(_checked_keys)
    ] = Field(default=(), description="Which keys are copied. Default: every key.")
    metadata: CopyMetadata = Field(
        default_factory=CopyMetadata, description="Labels and annotations put on every copy."
    )
    copy_metadata: CopyMetadataAllowList = Field(
        default_factory=CopyMetadataAllowList,
        description="Labels and annotations taken over from the source. Default: nothing.",
    )
    conflict_policy: ConflictPolicy = Field(
        default=ConflictPolicy.FAIL,
        description="Where an unmanaged ConfigMap has the name of a copy: Fail leaves it alone and says so; Adopt takes it over.",
    )
    deletion_policy: DeletionPolicy = Field(
        default=DeletionPolicy.DELETE,
        description="When this resource goes or a namespace is no longer selected: Delete the copies, or Orphan them.",
    )
    source_deletion_policy: SourceDeletionPolicy = Field(
        default=SourceDeletionPolicy.RETAIN,
        description="When the source goes: Retain the copies, or Delete them.",
    )
    service_account_name: ConfigMapName | None = Field(
        default=None,
        description="A ServiceAccount in the namespace of this resource that must itself be allowed to read the source and write the copies.",
    )
    suspend: StrictBool = Field(default=False, description="Stop syncing; copies stay as they are.")


class ObjectMeta(_Lenient):
    """The metadata we read."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int | None = None
    creation_timestamp: Timestamp | None = None
    deletion_timestamp: Timestamp | None = None
    finalizers: Annotated[tuple[str, ...], Field(fail_fast=True)] = ()


class Condition(_Lenient):
    """One condition, in the shape of metav1.Condition."""

    type: Annotated[str, Field(max_length=316)] = Field(
        description="Ready, Reconciling or Stalled."
    )
    status: Annotated[str, Field(json_schema_extra={"enum": ["True", "False", "Unknown"]})] = Field(
        description="True, False or Unknown."
    )
    reason: Annotated[str, Field(max_length=1024)] = Field(
        default="", description="Why, in one word."
    )
    message: Annotated[str, Field(max_length=32768)] = Field(
        default="", description="Why, in a sentence."
    )
    observed_generation: int | None = Field(
        default=None, description="The generation this condition speaks of."
    )
    last_transition_time: Timestamp | None = Field(
        default=None, description="When the status last changed."
    )


class SourceStatus(_Lenient):
    """The source the copies were made from."""

    resource_version: str = Field(default="", description="Its version when it was read last.")
    digest: str = Field(default="", description="The digest that every copy must have.")


class DestinationCounts(_Lenient):
    """How many destinations there are, and how they stand."""

    desired: int = Field(default=0, description="Namespaces that should have a copy.")
    synced: int = Field(default=0, description="Namespaces whose copy is right.")
    failed: int = Field(default=0, description="Namespaces that could not be served.")


class DestinationFailure(_Lenient):
    """One destination that could not be served."""

    namespace: str = Field(default="", description="The namespace.")
    reason: str = Field(default="", description="Why, in one word.")
    message: str = Field(default="", description="Why, in a sentence.")


class ConfigMapSyncStatus(_Lenient):
    """What the reconciler has found and done."""

    observed_generation: int | None = Field(
        default=None, description="The generation this status speaks of."
    )
    conditions: Annotated[
        tuple[Condition, ...], Field(max_length=MOST_CONDITIONS, fail_fast=True)
    ] = Field(default=(), description="Ready, Reconciling and Stalled, as kstatus reads them.")
    source: SourceStatus | None = Field(
        default=None, description="The source the copies were made from."
    )
    destinations: DestinationCounts | None = Field(
        default=None, description="How the destinations stand."
    )
    summary: str | None = Field(default=None, description="Synced of desired, as 11/12.")
    failures: Annotated[
        tuple[DestinationFailure, ...], Field(max_length=MOST_LISTED_FAILURES, fail_fast=True)
    ] = Field(
        default=(), description="Destinations that could not be served, by namespace; the first 20."
    )
    last_sync_time: Timestamp | None = Field(
        default=None, description="When a copy was last written."
    )


class ConfigMapSync(_Lenient):
    """Keeps copies of a ConfigMap right, in every namespace that should have one."""

    metadata: ObjectMeta
    spec: ConfigMapSyncSpec
    status: ConfigMapSyncStatus | None = None

    @property
    def key(self) -> NamespacedName:
        """Where this resource is found."""
        return NamespacedName(self.metadata.namespace, self.metadata.name)

    @property
    def source(self) -> NamespacedName:
        """The ConfigMap that is copied."""
        return NamespacedName(
            self.spec.source_namespace or self.metadata.namespace, self.spec.config_map_name
        )

    @property
    def destination_name(self) -> str:
        """What the copies are called."""
        return self.spec.destination_config_map_name or self.spec.config_map_name

    @property
    def deleting(self) -> bool:
        """Whether this resource is on its way out."""
        return self.metadata.deletion_timestamp is not None

    @property
    def may_delete_copies(self) -> bool:
        """Whether any policy can delete a copy, so that the right to delete was asked for."""
        return DeletionPolicy.DELETE is self.spec.deletion_policy or (
            self.spec.source_deletion_policy is SourceDeletionPolicy.DELETE
        )


class InvalidResource(Exception):
    """A document that is no ConfigMapSync; `errors` lists the first 20 errors of its shape."""

    def __init__(self, errors: tuple[FieldError, ...], metadata: ObjectMeta) -> None:
        super().__init__("; ".join(str(error) for error in errors))
        self.errors = errors
        self.metadata = metadata


def parse(document: Mapping[str, Any] | bytes) -> ConfigMapSync:
    """Read a resource: strictly its spec, leniently the rest; cheap for any document.

    Args:
        document: the object as JSON text or already decoded.

    Raises:
        InvalidResource: the spec is not of the right shape.
        ValueError: the text is not JSON, not an object, or its metadata is not that of
            an object.
    """
    raw = _decoded(document) if isinstance(document, bytes) else document
    if not isinstance(raw, Mapping):
        raise ValueError(f"a resource is an object, not a {type(raw).__name__}")  # noqa: TRY004 - as for text that is no JSON
    metadata = read_metadata(raw.get("metadata"))
    present = raw.get("spec")
    if errors := size_errors("spec", present):
        raise InvalidResource(limited(errors), metadata)
    try:
        spec = ConfigMapSyncSpec.model_validate(
            {} if present is None else _without_nulls(present), by_alias=True, by_name=False
        )
    except ValidationError as error:
        raise InvalidResource(
            limited(field_errors("spec", error.errors(include_url=False))), metadata
        ) from None
    return ConfigMapSync(metadata=metadata, spec=spec, status=read_status(raw.get("status")))


def read_status(document: Any) -> ConfigMapSyncStatus | None:
    """Return a status, or None if none can be read: the next report writes it anew."""
    try:
        return ConfigMapSyncStatus.model_validate(document) if document else None
    except ValidationError:
        return None


def read_metadata(document: Any) -> ObjectMeta:
    """Read the fields of the metadata that count; others, such as managedFields, are not entered.

    Raises:
        ValueError: it is not the metadata of an object.
    """
    if document is None:
        return ObjectMeta()
    if not isinstance(document, Mapping):
        raise ValueError("the metadata of a resource is an object")  # noqa: TRY004 - as for text that is no JSON
    aliases = [field.alias or name for name, field in ObjectMeta.model_fields.items()]
    return ObjectMeta.model_validate(
        {alias: document[alias] for alias in aliases if document.get(alias) is not None}
    )


def _decoded(text: bytes) -> Any:
    if len(text) > LARGEST_DOCUMENT:
        raise ValueError(f"a resource has at most {LARGEST_DOCUMENT} bytes, not {len(text)}")
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("the document is nested too deeply") from None


def _without_nulls(value: Any) -> Any:
    """An explicit null means the same as a field that is not there, as everywhere in Kubernetes."""
    if isinstance(value, Mapping):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value
