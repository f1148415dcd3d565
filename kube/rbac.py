"""What a piece of code must be allowed to do, declared beside the requests that it sends.

A process gathers the rules of its parts into roles; its manifests are written from them, so that a role holds what the code uses and nothing
else. It knows the words of `rbac.authorization.k8s.io/v1` and not who is given a role.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal


@dataclass(frozen=True, slots=True)
class Rule:
    """Verbs on one resource.

    Attributes:
        resource: in the plural, with its subresource: `configmaps`, `configmapsyncs/status`.
        verbs: of the API server: get, list, watch, create, update, patch, delete.
        group: API group; empty for the core one.
        names: the only objects it is good for; all where empty.
        why: in a few words, for whoever reviews the role.
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
        kind: good for the whole cluster, or for the namespace it stands in.
        rules: what it allows.
        account: the ServiceAccount that has it.
    """

    name: str
    kind: Literal["Role", "ClusterRole"]
    rules: tuple[Rule, ...]
    account: str


Place = tuple[str, str, tuple[str, ...]]


def merged(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """The same rights in as few rules as there are resources, sorted by group and resource; reasons are told once."""
    by_resource: dict[Place, Rule] = {}
    reasons: dict[Place, dict[str, None]] = {}
    for rule in rules:
        place = (rule.group, rule.resource, rule.names)
        known = by_resource.get(place, replace(rule, verbs=(), why=""))
        by_resource[place] = replace(known, verbs=tuple(dict.fromkeys(known.verbs + rule.verbs)))
        reasons.setdefault(place, {})[rule.why] = None
    return tuple(
        replace(by_resource[place], why="; ".join(why for why in reasons[place] if why))
        for place in sorted(by_resource)
    )
