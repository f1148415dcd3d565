"""Render discovery: group lists, resource lists and aggregated discovery."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from devcluster.access.review_resources import REVIEW_RESOURCES
from devcluster.schema.kinds import Kind

AGGREGATED = "apidiscovery.k8s.io"
AGGREGATED_MEDIA_TYPE = f"application/json;g={AGGREGATED};v=v2;as=APIGroupDiscoveryList"
VERSION = {
    "major": "1",
    "minor": "36",
    "emulationMajor": "1",
    "emulationMinor": "36",
    "minCompatibilityMajor": "1",
    "minCompatibilityMinor": "35",
    "gitVersion": "v1.36.2+devcluster",
    "gitCommit": "devcluster",
    "gitTreeState": "clean",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "none",
    "compiler": "python",
    "platform": "linux/amd64",
}
Document = dict[str, Any]


def kinds_with_reviews(kinds: Iterable[Kind]) -> list[Kind]:
    """All kinds, and those that can only be asked."""
    reviews = (
        Kind(
            review.group,
            "v1",
            review.plural,
            review.kind,
            namespaced=review.namespaced,
            verbs=("create",),
        )
        for review in REVIEW_RESOURCES
    )
    return [*kinds, *reviews]


def group_list(kinds: Iterable[Kind]) -> Document:
    """GET /apis."""
    groups = _versions_by_group(kinds)
    return {
        "kind": "APIGroupList",
        "apiVersion": "v1",
        "groups": [_group(name, groups[name]) for name in groups if name],
    }


def group(kinds: Iterable[Kind], name: str) -> Document | None:
    """GET /apis/GROUP."""
    versions = _versions_by_group(kinds).get(name)
    return (
        {"kind": "APIGroup", "apiVersion": "v1", **_group(name, versions)}
        if versions and name
        else None
    )


def core_versions() -> Document:
    """GET /api."""
    return {
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": "127.0.0.1"}],
    }


def resource_list(kinds: Iterable[Kind], group_name: str, version: str) -> Document | None:
    """GET /apis/GROUP/VERSION or /api/v1."""
    found = [kind for kind in kinds if (kind.group, kind.version) == (group_name, version)]
    if not found:
        return None
    resources = [
        entry for kind in sorted(found, key=lambda kind: kind.plural) for entry in _resources(kind)
    ]
    document: Document = {
        "kind": "APIResourceList",
        "groupVersion": found[0].api_version,
        "resources": resources,
    }
    return document | ({"apiVersion": "v1"} if group_name else {})


def aggregated(kinds: Iterable[Kind], *, core: bool) -> Document:
    """The same in one answer, for /api (`core`) or /apis."""
    groups: defaultdict[str, defaultdict[str, list[Kind]]] = defaultdict(lambda: defaultdict(list))
    for kind in kinds:
        if (kind.group == "") == core:
            groups[kind.group][kind.version].append(kind)
    items = [
        {
            "metadata": {"name": name} if name else {},
            "versions": [
                {
                    "version": version,
                    "resources": [_aggregated_resource(kind) for kind in found],
                    "freshness": "Current",
                }
                for version, found in versions.items()
            ],
        }
        for name, versions in groups.items()
    ]
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": f"{AGGREGATED}/v2",
        "metadata": {},
        "items": items,
    }


def wants_aggregated(accept: str) -> bool:
    """Whether the first thing a client takes is aggregated discovery, version 2."""
    first = accept.partition(",")[0]
    return (
        "as=APIGroupDiscoveryList" in first
        and f"g={AGGREGATED}" in first
        and "v=v2" in first.split(";")
    )


def _versions_by_group(kinds: Iterable[Kind]) -> Mapping[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for kind in kinds:
        versions = groups.setdefault(kind.group, [])
        if kind.version not in versions:
            versions.append(kind.version)
    return groups


def _group(name: str, versions: list[str]) -> Document:
    listed = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": listed, "preferredVersion": listed[0]}


def _resources(kind: Kind) -> Iterable[Document]:
    entry: Document = {
        "name": kind.plural,
        "singularName": kind.singular_name,
        "namespaced": kind.namespaced,
        "kind": kind.kind,
        "verbs": list(kind.verbs),
    }
    yield entry | _optional(kind)
    for name, subresource in sorted(kind.subresources.items()):
        below: Document = {
            "name": f"{kind.plural}/{name}",
            "singularName": "",
            "namespaced": kind.namespaced,
        }
        if subresource.group:
            below |= {"group": subresource.group, "version": subresource.version}
        yield below | {"kind": subresource.kind or kind.kind, "verbs": list(subresource.verbs)}


def _optional(kind: Kind) -> Document:
    short = {"shortNames": list(kind.short_names)} if kind.short_names else {}
    return short | ({"categories": list(kind.categories)} if kind.categories else {})


def _aggregated_resource(kind: Kind) -> Document:
    entry: Document = {
        "resource": kind.plural,
        "responseKind": _response_kind(kind, kind.kind),
        "scope": "Namespaced" if kind.namespaced else "Cluster",
        "singularResource": kind.singular_name,
        "verbs": list(kind.verbs),
    } | _optional(kind)
    if kind.subresources:
        entry["subresources"] = [
            {
                "subresource": name,
                "responseKind": {
                    "group": subresource.group,
                    "version": subresource.version,
                    "kind": subresource.kind,
                }
                if subresource.group
                else _response_kind(kind, kind.kind),
                "verbs": list(subresource.verbs),
            }
            for name, subresource in sorted(kind.subresources.items())
        ]
    return entry


def _response_kind(kind: Kind, name: str) -> Document:
    """Built-in groups leave out what the surrounding entry says already."""
    if kind.custom is None:
        return {"group": "", "version": "", "kind": name}
    return {"group": kind.group, "version": kind.version, "kind": name}
