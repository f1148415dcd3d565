"""Read and validate query parameters as kube-apiserver does."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from devcluster.errors import ApiStatus, FieldCause, bad_request, invalid
from devcluster.schema.field_problems import invalid_value, unsupported

META_GROUP = "meta.k8s.io"
PROPAGATION = ("Foreground", "Background", "Orphan")
MANAGER_LIMIT = 128
MATCH_WITH_CONTINUE = "resourceVersionMatch is forbidden when continue is provided"
FIELD_VALIDATION = ("", "Ignore", "Strict", "Warn")

Query = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """The options of a create, update or patch; `sent` has those that were given."""

    dry_run: bool
    field_manager: str
    field_validation: str
    force: bool
    sent: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, query: Query, kind: str, user_agent: str) -> "WriteOptions":
        """Read them; the manager defaults to the first word of the user agent.

        Raises:
            ApiStatus: 422 for an unknown value.
        """
        causes = [*_dry_run_causes(_all(query, "dryRun"))]
        validation = query.get("fieldValidation", "")
        if len(query.get("fieldManager", "")) > MANAGER_LIMIT:
            why = f"Too long: may not be more than {MANAGER_LIMIT} bytes"
            causes.append(FieldCause("FieldValueTooLong", "fieldManager", why))
        if validation not in FIELD_VALIDATION:
            causes.append(unsupported("fieldValidation", validation, FIELD_VALIDATION))
        if causes:
            raise invalid(META_GROUP, kind, "", causes)
        manager = query.get("fieldManager") or user_agent.partition("/")[0] or "unknown"
        sent: dict[str, Any] = {"dryRun": ["All"]} if is_dry_run(query) else {}
        sent |= {key: query[key] for key in ("fieldManager", "fieldValidation") if query.get(key)}
        return cls(
            is_dry_run(query), manager, validation or "Warn", is_true(query.get("force")), sent
        )


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """The options of a delete, from its query or body; `sent` has those that were given."""

    dry_run: bool
    uid: str | None = None
    resource_version: str | None = None
    propagation: str | None = None
    sent: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, query: Query, body: Mapping[str, Any] | None) -> "DeleteOptions":
        """Read them.

        Raises:
            ApiStatus: 400 for a body that is something else, 422 for an unknown value.
        """
        if body is None:  # the query counts only where there is no body
            sent = _delete_query(query)
        else:
            sent = {key: value for key, value in body.items() if key not in ("kind", "apiVersion")}
        propagation, orphan = sent.get("propagationPolicy"), sent.get("orphanDependents")
        causes = [*_dry_run_causes(sent.get("dryRun") or [])]
        if propagation is not None and orphan is not None:
            why = "orphanDependents and deletionPropagation cannot be both set"
            causes.append(invalid_value("propagationPolicy", propagation, why))
        elif orphan:
            propagation = "Orphan"
        if propagation is not None and propagation not in PROPAGATION:
            causes.append(unsupported("propagationPolicy", propagation, (*PROPAGATION, "nil")))
        if causes:
            raise invalid(META_GROUP, "DeleteOptions", "", causes)
        preconditions = sent.get("preconditions") or {}
        return cls(
            bool(sent.get("dryRun")),
            preconditions.get("uid"),
            preconditions.get("resourceVersion"),
            propagation,
            {key: value for key, value in sent.items() if value != []},
        )


def _delete_query(query: Query) -> dict[str, Any]:
    """The options of a DELETE without a body."""
    sent: dict[str, Any] = {}
    if (dry_run := _all(query, "dryRun")) != []:
        sent["dryRun"] = dry_run
    if query.get("gracePeriodSeconds"):
        sent["gracePeriodSeconds"] = _integer(query.get("gracePeriodSeconds"))
    if query.get("orphanDependents"):
        sent["orphanDependents"] = is_true(query.get("orphanDependents"))
    if "propagationPolicy" in query:
        sent["propagationPolicy"] = query["propagationPolicy"]
    return sent


@dataclass(frozen=True, slots=True)
class ListOptions:
    """What a list or watch may ask for."""

    label_selector: str | None
    field_selector: str | None
    limit: int
    continue_token: str | None
    version: str | None
    match: str | None
    watch: bool
    bookmarks: bool
    initial_events: bool | None
    timeout: float | None

    @classmethod
    def parse(cls, query: Query) -> "ListOptions":
        """Read them.

        Raises:
            ApiStatus: 400, 422 or 500, as recorded.
        """
        options = cls(
            label_selector=query.get("labelSelector"),
            field_selector=query.get("fieldSelector"),
            limit=max(0, _integer(query.get("limit"))),
            continue_token=query.get("continue"),
            version=query.get("resourceVersion") or None,
            match=query.get("resourceVersionMatch") or None,
            watch=is_true(query.get("watch")),
            bookmarks=is_true(query.get("allowWatchBookmarks")),
            initial_events=is_true(query["sendInitialEvents"])
            if "sendInitialEvents" in query
            else None,
            timeout=float(_integer(query.get("timeoutSeconds"))) or None,
        )
        causes = options._watch_causes() if options.watch else options._list_causes()
        if causes:
            raise invalid(META_GROUP, "ListOptions", "", causes)
        options._check_version()
        return options

    @property
    def at_version(self) -> int:
        """The version that is asked for; 0 where none is."""
        return int(self.version or 0)

    def _check_version(self) -> None:
        if self.version is None or (
            self.continue_token and not self.watch
        ):  # with a token any version is refused later
            return
        if (problem := version_problem(self.version)) is not None:
            problem = f"resourceVersion: {problem}"
            raise (
                ApiStatus(500, "", problem)
                if self.watch
                else bad_request(f"invalid resource version: {problem}")
            )

    def _list_causes(self) -> list[FieldCause]:
        causes = []
        field = "resourceVersionMatch"
        if self.match:
            if not self.version:
                causes.append(
                    _forbidden(
                        field,
                        "resourceVersionMatch is forbidden unless resourceVersion is provided",
                    )
                )
            if self.continue_token:
                causes.append(_forbidden(field, MATCH_WITH_CONTINUE))
            if self.match not in ("Exact", "NotOlderThan"):
                causes.append(unsupported(field, self.match, ("Exact", "NotOlderThan", "")))
            if self.match == "Exact" and self.version == "0":
                why = 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'
                causes.append(_forbidden(field, why))
        if self.initial_events is not None:
            causes.append(
                _forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list")
            )
        return causes

    def _watch_causes(self) -> list[FieldCause]:
        field = "resourceVersionMatch"
        causes = []
        if self.initial_events is not None and self.match != "NotOlderThan":
            why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
            causes.append(_forbidden(field, why))
        if self.match and self.initial_events is None:
            why = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
            causes.append(_forbidden(field, why))
        if self.match and self.match != "NotOlderThan":
            causes.append(unsupported(field, self.match, ("NotOlderThan",)))
        if self.continue_token:
            causes.append(_forbidden(field, MATCH_WITH_CONTINUE))
        return causes


def version_problem(text: str) -> str | None:
    """What is wrong with a version that is no number of 64 bits; None where it is one."""
    if not re.fullmatch(r"[0-9]+", text, re.ASCII):
        return unreadable_version(text)
    if len(text) > 20 or int(text) >= 2**64:
        return f'Invalid value: "{text}": strconv.ParseUint: parsing "{text}": value out of range'
    return None


def unreadable_version(text: str) -> str:
    """What is wrong with a version that is no number."""
    return f'Invalid value: "{text}": strconv.ParseUint: parsing "{text}": invalid syntax'


def is_true(value: str | None) -> bool:
    """How the API reads a boolean parameter."""
    return value is not None and value.lower() not in ("false", "0")


def is_dry_run(query: Query) -> bool:
    """Whether nothing is to be stored."""
    return "All" in _all(query, "dryRun")


def _all(query: Query, name: str) -> list[str]:
    """Every value of a parameter that may repeat."""
    get_all = getattr(query, "getall", None)
    if get_all is not None:
        return list(get_all(name, []))
    return [query[name]] if name in query else []


def _dry_run_causes(values: Sequence[str]) -> list[FieldCause]:
    if all(value == "All" for value in values):
        return []
    shown = json.dumps(list(values), separators=(",", ":"))
    return [
        FieldCause(
            "FieldValueNotSupported",
            "dryRun",
            f'Unsupported value: {shown}: supported values: "All"',
        )
    ]


def _integer(text: str | None) -> int:
    if text is None:
        return 0
    if not re.fullmatch(r"[-+]?[0-9]+", text, re.ASCII):
        raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax')
    if len(text) > 20 or not -(2**63) <= int(text) < 2**63:
        raise bad_request(f'strconv.ParseInt: parsing "{text}": value out of range')
    return int(text)


def _forbidden(field: str, why: str) -> FieldCause:
    return FieldCause("FieldValueForbidden", field, f"Forbidden: {why}")
