"""Declare RBAC rules beside the requests that need them.

`hack/roles.py` gathers the rules of each process into roles and writes the manifests,
so a role has exactly the rights that the code uses. This module must not know the
processes.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import groupby
from operator import attrgetter
from typing import Literal


@dataclass(frozen=True, slots=True)
class Rule:
    """Verbs on one resource.

    Attributes:
        resource: in the plural, with its subresource: `configmaps`, `configmapsyncs/status`.
        verbs: of the API server: get, list, watch, create, update, patch, delete.
        group: API group; empty for the core group.
        names: the only objects that the rule covers; all if empty.
        why: the reason, for reviewers of the role.
    """

    resource: str
    verbs: tuple[str, ...]
    group: str = ""
    names: tuple[str, ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True)
class Role:
    """Rules under one name.

    Attributes:
        name: of the role, and of its binding.
        kind: `ClusterRole` for the whole cluster, `Role` for one namespace.
        rules: what the role allows.
        account: the ServiceAccount that gets the role.
    """

    name: str
    kind: Literal["Role", "ClusterRole"]
    rules: tuple[Rule, ...]
    account: str


def merged(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """Return the same rights and reasons, sorted, in one rule for each resource and `names`."""
    merged_rules = []
    resource = attrgetter("group", "resource", "names")
    for _, group in groupby(sorted(rules, key=resource), key=resource):
        same = list(group)
        verbs = dict.fromkeys(verb for rule in same for verb in rule.verbs)
        reasons = dict.fromkeys(rule.why for rule in same if rule.why)
        merged_rules.append(replace(same[0], verbs=tuple(verbs), why="; ".join(reasons)))
    return tuple(merged_rules)
