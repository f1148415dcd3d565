"""Compute the rules of aggregated ClusterRoles, such as `admin`, `edit` and `view`.

`controllers/cluster_roles.py` stores the result. Nothing here writes.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from devcluster.schema.label_selector import matches_selector

Role = Mapping[str, Any]


def aggregated(roles: Iterable[Role]) -> list[dict[str, Any]]:
    """Return the roles whose rules have to change, with their new rules.

    A role may aggregate a role that is aggregated itself: `admin` includes `edit`, which includes
    `view`. The rules are therefore combined until nothing changes. The number of roles bounds the
    number of rounds, because no chain is longer.
    """
    current: dict[str, Role] = {role["metadata"]["name"]: role for role in roles}
    changed: dict[str, dict[str, Any]] = {}
    for _ in range(len(current)):
        settled = True
        for name in sorted(current):
            role = current[name]
            if role.get("aggregationRule") is None:
                continue
            rules = _gathered(role, current)
            if rules != (role.get("rules") or []):
                current[name] = changed[name] = {**role, "rules": rules}
                settled = False
        if settled:
            break
    return list(changed.values())


def _gathered(role: Role, roles: Mapping[str, Role]) -> list[Mapping[str, Any]]:
    rules: list[Mapping[str, Any]] = []
    for selector in role["aggregationRule"].get("clusterRoleSelectors") or ():
        for name in sorted(roles):
            source = roles[name]
            if source is role or not matches_selector(
                selector, source["metadata"].get("labels") or {}
            ):
                continue
            rules.extend(rule for rule in source.get("rules") or () if rule not in rules)
    return rules
