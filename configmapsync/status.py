"""Define the status of a ConfigMapSync as structs.

`conditions.py` computes it, `parsing.py` reads it, and `crd.py` makes the schema of the
CRD from these structs and their docstrings. The wire format is camelCase. An unknown
field is ignored, because other versions and clients may extend a status.
"""

from typing import Annotated

from msgspec import Meta, Struct

from configmapsync.timestamps import Timestamp, normalize_times

MOST_CONDITIONS = 16
MOST_LISTED_FAILURES = 20  # the counts include the rest


class _Part(Struct, frozen=True, rename="camel", gc=False):
    """A part of the status. It holds no cycle, so that the garbage collector can ignore it."""


class Condition(_Part, frozen=True, kw_only=True):
    """One condition, in the shape of metav1.Condition."""

    type: Annotated[str, Meta(max_length=316, description="Ready, Reconciling or Stalled.")]
    # The values are limited in the CRD only. A stored status with another value is readable.
    status: Annotated[
        str,
        Meta(
            description="True, False or Unknown.",
            extra_json_schema={"enum": ["True", "False", "Unknown"]},
        ),
    ]
    reason: Annotated[str, Meta(max_length=1024, description="The reason, in one word.")] = ""
    message: Annotated[str, Meta(max_length=32768, description="The reason, in a sentence.")] = ""
    observed_generation: Annotated[
        int | None, Meta(description="The generation that this condition describes.")
    ] = None
    last_transition_time: Annotated[
        Timestamp | None, Meta(description="The time of the last change of the status.")
    ] = None

    def __post_init__(self) -> None:
        """Bring the time into the stored form."""
        normalize_times(self, "last_transition_time")


class SourceStatus(_Part, frozen=True, kw_only=True):
    """The source of the copies."""

    resource_version: Annotated[
        str,
        Meta(
            description="The version of the source whose content the copies have. "
            "A later version with the same content does not change it."
        ),
    ] = ""
    digest: Annotated[str, Meta(description="The digest of all copies.")] = ""


class DestinationCounts(_Part, frozen=True, kw_only=True):
    """The numbers of destinations by state."""

    desired: Annotated[int, Meta(description="Namespaces that should have a copy.")] = 0
    synced: Annotated[int, Meta(description="Namespaces whose copy is up to date.")] = 0
    failed: Annotated[int, Meta(description="Namespaces whose copy failed.")] = 0


class DestinationFailure(_Part, frozen=True, kw_only=True):
    """One destination that failed."""

    namespace: Annotated[str, Meta(description="The namespace.")] = ""
    reason: Annotated[str, Meta(description="The reason, in one word.")] = ""
    message: Annotated[str, Meta(description="The reason, in a sentence.")] = ""


class ConfigMapSyncStatus(_Part, frozen=True, kw_only=True):
    """The state of the copies as the reconciler observed it."""

    observed_generation: Annotated[
        int | None, Meta(description="The generation that this status describes.")
    ] = None
    conditions: Annotated[
        tuple[Condition, ...],
        Meta(
            max_length=MOST_CONDITIONS,
            description="Ready, Reconciling and Stalled, as kstatus reads them.",
        ),
    ] = ()
    source: Annotated[SourceStatus | None, Meta(description="The source of the copies.")] = None
    destinations: Annotated[
        DestinationCounts | None, Meta(description="The numbers of destinations by state.")
    ] = None
    summary: Annotated[str | None, Meta(description="Synced of desired copies, such as 11/12.")] = (
        None
    )
    failures: Annotated[
        tuple[DestinationFailure, ...],
        Meta(
            max_length=MOST_LISTED_FAILURES,
            description="Failed destinations, by namespace; the first 20.",
        ),
    ] = ()
    last_sync_time: Annotated[
        Timestamp | None, Meta(description="The time of the last write to a copy.")
    ] = None

    def __post_init__(self) -> None:
        """Bring the time into the stored form."""
        normalize_times(self, "last_sync_time")

    @property
    def ready(self) -> Condition | None:
        """Return the Ready condition; None if there is none."""
        return next((each for each in self.conditions if each.type == "Ready"), None)
