from devcluster.access.aggregation import aggregated
from harness.rbac_objects import StoredRbac, rule


def cluster_role(name, labels=None, rules=(), selector=None):
    role = {
        "kind": "ClusterRole",
        "metadata": {"name": name, "labels": labels or {}},
        "rules": list(rules),
    }
    return role | (
        {"aggregationRule": {"clusterRoleSelectors": [selector]}} if selector is not None else {}
    )


def rules_by_name(roles):
    return {role["metadata"]["name"]: role["rules"] for role in roles}


def test_rules_are_gathered_by_label_in_order_of_name_without_repeating_any():
    roles = [
        cluster_role("sum", selector={"matchLabels": {"add": "yes"}}),
        cluster_role("b", {"add": "yes"}, [rule("get", "b"), rule("get", "same")]),
        cluster_role("a", {"add": "yes"}, [rule("get", "a"), rule("get", "same")]),
        cluster_role("c", {"add": "no"}, [rule("get", "c")]),
    ]
    assert rules_by_name(aggregated(roles)) == {
        "sum": [rule("get", "a"), rule("get", "same"), rule("get", "b")]
    }


def test_an_aggregate_of_aggregates_is_complete_whatever_they_are_called():
    roles = [
        cluster_role("a-outer", selector={"matchLabels": {"to": "outer"}}),
        cluster_role("b-inner", {"to": "outer"}, selector={"matchLabels": {"to": "inner"}}),
        cluster_role("c", {"to": "inner"}, [rule("get", "c")]),
    ]
    assert rules_by_name(aggregated(roles)) == {
        "a-outer": [rule("get", "c")],
        "b-inner": [rule("get", "c")],
    }


def test_what_is_already_right_is_not_written_again():
    stored = StoredRbac.with_defaults()
    assert aggregated(list(stored.list("clusterroles", ""))) == []


def test_a_rule_that_left_its_source_leaves_the_aggregate():
    sum_role = cluster_role(
        "sum", rules=[rule("get", "gone")], selector={"matchLabels": {"add": "yes"}}
    )
    assert rules_by_name(aggregated([sum_role])) == {"sum": []}


def test_two_roles_that_aggregate_each_other_come_to_rest():
    roles = [
        cluster_role(
            "a", {"l": "x"}, selector={"matchExpressions": [{"key": "l", "operator": "Exists"}]}
        ),
        cluster_role(
            "b", {"l": "x"}, selector={"matchExpressions": [{"key": "l", "operator": "Exists"}]}
        ),
        cluster_role("c", {"l": "x"}, [rule("get", "c")]),
    ]
    assert rules_by_name(aggregated(roles)) == {"a": [rule("get", "c")], "b": [rule("get", "c")]}
