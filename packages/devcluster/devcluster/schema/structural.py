"""The schema of a custom kind, and the three things it does to an object.

The order is `prune`, `default`, `validate`. Each takes a whole object and returns a
new one.
"""

import functools
from collections.abc import Mapping
from typing import Any

from devcluster.errors import FieldCause
from devcluster.schema.cel_rules import broken_rules, has_rules
from devcluster.schema.defaulting import defaulted
from devcluster.schema.field_types import object_type_of
from devcluster.schema.listtypes import duplicates
from devcluster.schema.pruning import ROOT_FIELDS, pruned
from devcluster.schema.types import Struct
from devcluster.schema.validation import Place, problems
from devcluster.schema.values import ABSENT, Absent, child
from devcluster.schema.wording import invalid

Document = Mapping[str, Any]
# With one of these the object is not what rules may rely on, so they are not asked.
BLOCKING = {
    "FieldValueNotSupported",
    "FieldValueRequired",
    "FieldValueTooLong",
    "FieldValueTooMany",
    "FieldValueTypeInvalid",
}
NOT_ASKED = (
    "some validation rules were not checked because the object was invalid; correct the "
    "existing errors to complete "
    "validation"
)
RULE_METADATA = ("name", "generateName")  # all that a rule at the root may look at


class StructuralSchema:
    """The openAPIV3Schema of one version of a CustomResourceDefinition."""

    def __init__(self, openapi_v3_schema: Document) -> None:
        self._schema = openapi_v3_schema
        self._has_rules = has_rules(openapi_v3_schema)

    @functools.cached_property
    def field_types(self) -> Struct:
        """The types of its fields, for server-side apply."""
        return object_type_of(self._schema)

    def prune(self, document: Document) -> tuple[dict[str, Any], list[str]]:
        """Drop what is not declared; returns the object and the sorted paths that were dropped."""
        unknown: list[str] = []
        kept = pruned(document, self._schema, unknown, is_object=True)
        return kept, sorted(unknown)

    def default(self, document: Document) -> dict[str, Any]:
        """Apply defaults and drop nulls that are not allowed. Metadata is not changed."""
        body = {key: value for key, value in document.items() if key not in ROOT_FIELDS}
        filled: dict[str, Any] = defaulted(body, self._schema_of_body())
        return {key: document[key] for key in document if key in ROOT_FIELDS} | filled

    def validate(self, document: Document, old: Document | None = None) -> list[FieldCause]:
        """Return all problems of the object, except in parts that equal `old`."""
        body = {key: value for key, value in document.items() if key not in ROOT_FIELDS}
        before: Any = (
            ABSENT if old is None else {k: v for k, v in old.items() if k not in ROOT_FIELDS}
        )
        schema = self._schema_of_body()
        causes = [
            *problems(body, schema, Place("", ""), before),
            *duplicates(body, schema, old=before),
        ]
        return causes + self._rules(document, old, causes)

    def validate_status(self, document: Document, old: Document | None = None) -> list[FieldCause]:
        """Return all problems of a status write: of the status alone, and of all rules."""
        if "status" not in document:
            return self._rules(document, old, [])
        schema = (self._schema.get("properties") or {}).get("status") or {}
        before: Any | Absent = ABSENT if old is None else child(old, "status")
        causes = [
            *problems(document["status"], schema, Place("status", ""), before),
            *duplicates(document["status"], schema, "status", before),
        ]
        return causes + self._rules(document, old, causes)

    def _rules(
        self, document: Document, old: Document | None, causes: list[FieldCause]
    ) -> list[FieldCause]:
        if not self._has_rules:
            return []
        if any(cause.reason in BLOCKING for cause in causes):
            return [invalid("<nil>", None, NOT_ASKED)]
        before = ABSENT if old is None else _as_rules_see_it(old)
        return list(broken_rules(_as_rules_see_it(document), self._schema, old=before))

    def _schema_of_body(self) -> dict[str, Any]:
        """Return the schema without apiVersion, kind and metadata."""
        properties = {
            k: v for k, v in (self._schema.get("properties") or {}).items() if k not in ROOT_FIELDS
        }
        needed = [key for key in self._schema.get("required") or () if key not in ROOT_FIELDS]
        return {**self._schema, "properties": properties, "required": needed}


def _as_rules_see_it(document: Document) -> dict[str, Any]:
    metadata = document.get("metadata") or {}
    return {
        **document,
        "metadata": {key: metadata[key] for key in RULE_METADATA if key in metadata},
    }
