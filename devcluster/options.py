"""The query parameters of requests, read and checked as the real server checks them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from devcluster.errors import ApiStatus, FieldCause, bad_request, invalid
from devcluster.field_problems import invalid_value, unsupported

META_GROUP = "meta.k8s.io"
PROPAGATION = ("Foreground", "Background", "Orphan")
MANAGER_LIMIT = 128
FIELD_VALIDATION = ("", "Ignore", "Strict", "Warn")

Query = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """What a create, update or patch may ask for; `sent` is what was asked for in so many words, for webhooks."""

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
        causes = [*_dry_run_causes(query)]
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
        return cls(is_dry_run(query), manager, validation or "Warn", is_true(query.get("force")), sent)


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """What a delete may ask for, from its query and its body; `sent` is that in so many words, for webhooks."""

    dry_run: bool
    uid: str | None = None
    resource_version: str | None = None
    propagation: str | None = None
    sent: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, query: Query, body: Mapping[str, Any]) -> "DeleteOptions":
        """Read them.

        Raises:
            ApiStatus: 400 for a body that is something else, 422 for an unknown value.
        """
        if body.get("kind", "DeleteOptions") != "DeleteOptions":
            scheme = 'is registered for version "meta.k8s.io/v1" in scheme "pkg/runtime/scheme.go:110"'
            raise bad_request(f'no kind "{body["kind"]}" {scheme}')
        propagation = body.get("propagationPolicy") or query.get("propagationPolicy")
        orphan = body.get("orphanDependents", is_true(query.get("orphanDependents")) or None)
        causes = [*_dry_run_causes(query)]
        if propagation is not None and orphan is not None:
            why = "orphanDependents and deletionPropagation cannot be both set"
            causes.append(invalid_value("propagationPolicy", propagation, why))
        elif orphan:
            propagation = "Orphan"
        if propagation is not None and propagation not in PROPAGATION:
            causes.append(unsupported("propagationPolicy", propagation, (*PROPAGATION, "nil")))
        if causes:
            raise invalid(META_GROUP, "DeleteOptions", "", causes)
        preconditions = body.get("preconditions") or {}
        dry_run = is_dry_run(query) or body.get("dryRun") == ["All"]
        sent = {key: value for key, value in body.items() if key not in ("kind", "apiVersion")}
        if dry_run:
            sent["dryRun"] = ["All"]
        if propagation is not None and "orphanDependents" not in sent:
            sent["propagationPolicy"] = propagation
        return cls(dry_run, preconditions.get("uid"), preconditions.get("resourceVersion"), propagation, sent)


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
    initial_events: bool
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
            initial_events=is_true(query.get("sendInitialEvents")),
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
        if self.version is None:
            return
        if not self.version.isdecimal():
            problem = f"resourceVersion: {unreadable_version(self.version)}"
            raise ApiStatus(500, "", problem) if self.watch else bad_request(f"invalid resource version: {problem}")

    def _list_causes(self) -> list[FieldCause]:
        causes = []
        field = "resourceVersionMatch"
        if self.match and not self.version:
            causes.append(_forbidden(field, "resourceVersionMatch is forbidden unless resourceVersion is provided"))
        elif self.match == "Exact" and self.version == "0":
            causes.append(_forbidden(field, 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'))
        if self.match and self.match not in ("Exact", "NotOlderThan"):
            causes.append(unsupported(field, self.match, ("Exact", "NotOlderThan", "")))
        if self.initial_events:
            causes.append(_forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"))
        return causes

    def _watch_causes(self) -> list[FieldCause]:
        field = "resourceVersionMatch"
        if self.initial_events and self.match != "NotOlderThan":
            return [_forbidden(field, "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan")]
        if self.match and not self.initial_events:
            return [
                _forbidden(field, "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided")
            ]
        return []


def unreadable_version(text: str) -> str:
    """What is wrong with a version that is no number."""
    return f'Invalid value: "{text}": strconv.ParseUint: parsing "{text}": invalid syntax'


def is_true(value: str | None) -> bool:
    """How the API reads a boolean parameter."""
    return value is not None and value.lower() not in ("false", "0")


def is_dry_run(query: Query) -> bool:
    """Whether nothing is to be stored."""
    return query.get("dryRun") == "All"


def _dry_run_causes(query: Query) -> list[FieldCause]:
    value = query.get("dryRun")
    if value in (None, "", "All"):
        return []
    return [FieldCause("FieldValueNotSupported", "dryRun", f'Unsupported value: ["{value}"]: supported values: "All"')]


def _integer(text: str | None) -> int:
    if not text:
        return 0
    try:
        return int(text)
    except ValueError as error:
        raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax') from error


def _forbidden(field: str, why: str) -> FieldCause:
    return FieldCause("FieldValueForbidden", field, f"Forbidden: {why}")
