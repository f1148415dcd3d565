"""Define the spec of a ConfigMapSync as pydantic models.

`crd.py` makes the schema of the CRD from these models and their docstrings, and
`parsing.py` parses specs with them. The wire format is camelCase. An unknown field is
an error with its path; it must never be ignored. `defaulting.py` sets defaults and
`validation.py` has the rules over several fields.
"""

from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from configmapsync.field_patterns import DATA_KEY, DATA_KEY_GLOB, LABEL, LABEL_GLOB, SUBDOMAIN
from configmapsync.globs import MOST_GENERAL_CHARACTERS, general_characters
from configmapsync.schema_errors import MOST_ITEMS

MOST_NAMES = MOST_ITEMS
MOST_KEYS = 256
MOST_METADATA = 64

NamespaceName = Annotated[str, Field(min_length=1, max_length=63, pattern=LABEL)]
NamespacePattern = Annotated[str, Field(min_length=1, max_length=63, pattern=LABEL_GLOB)]
ConfigMapName = Annotated[str, Field(min_length=1, max_length=253, pattern=SUBDOMAIN)]
DataKey = Annotated[str, Field(min_length=1, max_length=253, pattern=DATA_KEY)]
DataKeyPattern = Annotated[str, Field(min_length=1, max_length=253, pattern=DATA_KEY_GLOB)]
# A prefix has at most 253 characters and a name 63.
MetadataKey = Annotated[str, Field(min_length=1, max_length=317)]
LabelValue = Annotated[str, Field(max_length=63)]
AnnotationValue = Annotated[str, Field(max_length=65536)]


class ConflictPolicy(StrEnum):
    """What to do with an unmanaged ConfigMap that has the name of a copy."""

    FAIL = "Fail"
    ADOPT = "Adopt"


class DeletionPolicy(StrEnum):
    """What to do with a copy if the sync is deleted or the namespace is no longer selected."""

    DELETE = "Delete"
    ORPHAN = "Orphan"


class SourceDeletionPolicy(StrEnum):
    """What to do with the copies if the source is deleted."""

    RETAIN = "Retain"
    DELETE = "Delete"


class SelectorOperator(StrEnum):
    """The operator of a label selector requirement."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


def _checked_globs(patterns: tuple[str, ...]) -> tuple[str, ...]:
    """Reject lists of globs that are expensive to match."""
    if general_characters(patterns) > MOST_GENERAL_CHARACTERS:
        raise PydanticCustomError(
            "globs_too_long",
            "globs with ?, or with * elsewhere than at one end, "
            "may have {most} characters together",
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
    """A part of the spec: camelCase, immutable, and without unknown fields."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True
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
    """A label selector; all requirements must hold, and an empty one selects everything."""

    match_labels: dict[MetadataKey, LabelValue] = Field(
        default_factory=dict,
        max_length=MOST_METADATA,
        description="Labels that must have exactly these values.",
    )
    match_expressions: tuple[LabelSelectorRequirement, ...] = Field(
        default=(), max_length=MOST_METADATA, description="Requirements that must all hold."
    )


class KeySelection(_Model):
    """A key of the source, and its name in the copy."""

    key: DataKeyPattern = Field(
        description="A key, or a glob (* and ?) over the keys of data and binaryData."
    )
    as_: DataKey | None = Field(
        default=None,
        alias="as",
        description="The key in the copy. Allowed only if `key` is an exact key. Default: key.",
    )


class CopyMetadata(_Model):
    """Labels and annotations that each copy gets."""

    labels: dict[MetadataKey, LabelValue] = Field(
        default_factory=dict, max_length=MOST_METADATA, description="Labels of each copy."
    )
    annotations: dict[MetadataKey, AnnotationValue] = Field(
        default_factory=dict, max_length=MOST_METADATA, description="Annotations of each copy."
    )


class CopyMetadataAllowList(_Model):
    """Labels and annotations of the source that each copy gets; by default none."""

    labels: MetadataPatterns = Field(
        default=(),
        description="Labels to copy from the source, as keys or globs. "
        "Globs do not match keys of kubernetes.io, k8s.io and of other tools.",
    )
    annotations: MetadataPatterns = Field(
        default=(),
        description="Annotations to copy from the source, as keys or globs. "
        "Globs do not match keys of kubernetes.io, k8s.io and of other tools.",
    )


# One for all specs that leave the field unset, because most do.
_NO_METADATA = CopyMetadata()
_NO_COPIED_METADATA = CopyMetadataAllowList()


class ConfigMapSyncSpec(_Model):
    """Which ConfigMap to copy, to which namespaces, and with which policies."""

    source_namespace: NamespaceName | None = Field(
        default=None,
        description="The namespace of the source. Default: the namespace of this resource.",
    )
    config_map_name: ConfigMapName = Field(description="The name of the source ConfigMap.")
    destination_namespace: NamespaceName | None = Field(
        default=None,
        description="A namespace that gets a copy; the short form of destinationNamespaces.",
    )
    destination_namespaces: NamespacePatterns = Field(
        default=(),
        description="Namespaces that get a copy, as names or globs over whole names (* and ?). "
        '["*"] selects every namespace.',
    )
    destination_namespace_selector: LabelSelector | None = Field(
        default=None,
        description="Namespaces that get a copy, by their labels. {} selects every namespace.",
    )
    excluded_namespaces: NamespacePatterns = Field(
        default=(),
        description="Namespaces that never get a copy, as names or globs. Takes precedence.",
    )
    destination_config_map_name: ConfigMapName | None = Field(
        default=None, description="The name of the copies. Default: configMapName."
    )
    keys: Annotated[
        tuple[KeySelection, ...], Field(max_length=MOST_KEYS), AfterValidator(_checked_keys)
    ] = Field(default=(), description="The keys to copy. Default: every key.")
    metadata: CopyMetadata = Field(
        default_factory=lambda: _NO_METADATA, description="Labels and annotations of each copy."
    )
    copy_metadata: CopyMetadataAllowList = Field(
        default_factory=lambda: _NO_COPIED_METADATA,
        description="Labels and annotations to copy from the source. Default: none.",
    )
    conflict_policy: ConflictPolicy = Field(
        default=ConflictPolicy.FAIL,
        description="If an unmanaged ConfigMap has the name of a copy: "
        "Fail leaves it unchanged and reports it, Adopt takes it over.",
    )
    deletion_policy: DeletionPolicy = Field(
        default=DeletionPolicy.DELETE,
        description="If this resource is deleted or a namespace is no longer selected: "
        "Delete the copies, or Orphan them.",
    )
    source_deletion_policy: SourceDeletionPolicy = Field(
        default=SourceDeletionPolicy.RETAIN,
        description="If the source is deleted: Retain the copies, or Delete them.",
    )
    service_account_name: ConfigMapName | None = Field(
        default=None,
        description="A ServiceAccount in the namespace of this resource. Its own rights must allow "
        "to read the source and to write the copies.",
    )
    suspend: StrictBool = Field(default=False, description="Stop syncing. Copies stay as they are.")

    @property
    def destination_patterns(self) -> tuple[str, ...]:
        """Return the names and globs of both fields that select namespaces by name."""
        short = (self.destination_namespace,) if self.destination_namespace else ()
        return (*short, *self.destination_namespaces)
