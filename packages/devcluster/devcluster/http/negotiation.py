"""Read from the Accept header whether objects, metadata or tables are wanted."""

from dataclasses import dataclass
from typing import Literal

from devcluster.errors import ApiStatus

Form = Literal["object", "metadata", "metadata list", "table"]
ACCEPTED = "application/json, application/yaml, application/vnd.kubernetes.protobuf"
METADATA = {
    "PartialObjectMetadata": "metadata",
    "PartialObjectMetadataList": "metadata list",
    "Table": "table",
}


@dataclass(frozen=True, slots=True)
class Accepted:
    """What the client takes.

    Attributes:
        form: of the answer.
        yaml: whether it is to be YAML.
        version: of meta.k8s.io, for tables and metadata.
    """

    form: Form = "object"
    yaml: bool = False
    version: str = "v1"


def negotiate(header: str, *, tables: bool = True) -> Accepted:
    """The first form in an Accept header that the server can give.

    Args:
        header: as sent.
        tables: whether what is answered can be shown as a table.

    Raises:
        ApiStatus: 406, there is none.
    """
    for part in header.split(",") if header.strip() else ["*/*"]:
        found = _form(part)
        if found is not None and (tables or found.form != "table"):
            return found
    raise ApiStatus(
        406, "NotAcceptable", f"only the following media types are accepted: {ACCEPTED}"
    )


def parameters(part: str) -> tuple[str, dict[str, str]]:
    """A media type and its parameters."""
    media, *rest = (piece.strip() for piece in part.split(";"))
    return media, dict(piece.split("=", 1) for piece in rest if "=" in piece)


def _form(part: str) -> Accepted | None:
    media, given = parameters(part)
    if media not in ("application/json", "application/yaml", "*/*", "application/*"):
        return None
    yaml = media == "application/yaml"
    if "as" not in given:
        return Accepted(yaml=yaml)
    versions = ("v1", "v1beta1")
    if (
        given["as"] not in METADATA
        or given.get("v") not in versions
        or given.get("g") != "meta.k8s.io"
    ):
        return None
    form: Form = METADATA[given["as"]]  # type: ignore[assignment]
    return Accepted(form, yaml, given["v"])
