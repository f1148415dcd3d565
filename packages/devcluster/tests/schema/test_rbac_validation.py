import pytest

from devcluster.access.default_roles import default_objects
from devcluster.schema.rbac_validation import rbac_problems, with_defaults

RBAC = "rbac.authorization.k8s.io"


def role(*rules, kind="Role", name="r", **more):
    return {"kind": kind, "metadata": {"name": name}, "rules": list(rules), **more}


def binding(binding_kind="RoleBinding", subjects=(), **reference):
    role_ref = {
        "kind": "Role" if binding_kind == "RoleBinding" else "ClusterRole",
        "name": "x",
    } | reference
    return with_defaults(
        {
            "kind": binding_kind,
            "metadata": {"name": "b"},
            "roleRef": role_ref,
            "subjects": list(subjects),
        }
    )


def problems(document, old=None) -> list[str]:
    return [f"{cause.field}: {cause.message}" for cause in rbac_problems(document, old)]


@pytest.mark.parametrize(
    "document", list(default_objects()), ids=lambda one: f"{one['kind']}-{one['metadata']['name']}"
)
def test_the_default_roles_are_valid_and_complete(document):
    assert problems(document) == []
    assert with_defaults(document) == document


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (
            {"verbs": [], "apiGroups": [""], "resources": ["x"]},
            ["rules[0].verbs: Required value: verbs must contain at least one value"],
        ),
        (
            {"verbs": ["get"]},
            [
                (
                    "rules[0].apiGroups: Required value: resource rules must supply at least one "
                    "api group"
                ),
                (
                    "rules[0].resources: Required value: resource rules must supply at least one "
                    "resource"
                ),
            ],
        ),
        (
            {"verbs": ["get"], "nonResourceURLs": ["/x"]},
            [
                (
                    'rules[0].nonResourceURLs: Invalid value: ["/x"]: namespaced rules cannot '
                    "apply to non-resource URLs"
                )
            ],
        ),
    ],
)
def test_a_rule_has_to_be_about_something(rule, expected):
    assert problems(role(rule)) == expected


def test_a_cluster_role_may_be_about_paths_but_not_in_the_same_rule():
    path = {"verbs": ["get"], "nonResourceURLs": ["/x"]}
    assert problems(role(path, kind="ClusterRole")) == []
    assert problems(role(path | {"resources": ["x"]}, kind="ClusterRole")) == [
        (
            'rules[0].nonResourceURLs: Invalid value: ["/x"]: rules cannot apply to both regular '
            "resources and non-resource URLs"
        )
    ]


def test_a_role_may_be_called_anything_that_fits_into_a_path():
    assert problems(role(name="system:discovery Ä")) == []
    assert problems(role(name="a/b%")) == [
        "metadata.name: Invalid value: \"a/b%\": may not contain '/'",
        "metadata.name: Invalid value: \"a/b%\": may not contain '%'",
    ]
    assert problems(role(name="..")) == ["metadata.name: Invalid value: \"..\": may not be '..'"]


def test_an_aggregation_selects_something():
    empty = role(kind="ClusterRole", aggregationRule={})
    assert problems(empty) == [
        (
            "aggregationRule.clusterRoleSelectors: Required value: "
            "at least one clusterRoleSelector required if aggregationRule is non-nil"
        )
    ]


def test_a_binding_refers_to_a_role_by_kind_and_name():
    assert problems(binding()) == []
    assert problems(binding(apiGroup="x", kind="Roll", name="")) == [
        f'roleRef.apiGroup: Unsupported value: "x": supported values: "{RBAC}"',
        'roleRef.kind: Unsupported value: "Roll": supported values: "Role", "ClusterRole"',
        "roleRef.name: Required value",
    ]
    assert problems(
        {
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "b"},
            "roleRef": {"kind": "Role", "name": "x"},
        }
    )[1:] == ['roleRef.kind: Unsupported value: "Role": supported values: "ClusterRole"']


def test_subjects_get_their_group_and_have_to_be_named():
    user, robot = {"kind": "User", "name": "a"}, {"kind": "ServiceAccount", "name": "sa"}
    good = binding(subjects=[user, robot])
    assert good["subjects"] == [user | {"apiGroup": RBAC}, robot]
    assert problems(good) == []
    bad = [
        {"kind": "ServiceAccount", "name": "Bad_", "apiGroup": "x"},
        {"kind": "Group", "name": "", "apiGroup": "y"},
        {"kind": "Foo", "name": "z"},
    ]
    assert [problem.partition(": ")[0] for problem in problems(binding(subjects=bad))] == [
        "subjects[0].name",
        "subjects[0].apiGroup",
        "subjects[1].name",
        "subjects[1].apiGroup",
        "subjects[2].kind",
    ]
    assert problems(binding("ClusterRoleBinding", subjects=[robot])) == [
        "subjects[0].namespace: Required value"
    ]


def test_a_binding_keeps_its_role():
    old, moved = binding(), binding(name="other")
    assert problems(moved, old) == [
        (
            f'roleRef: Invalid value: {{"APIGroup":"{RBAC}","Kind":"Role","Name":"other"}}: '
            "cannot change roleRef"
        )
    ]
    assert problems(old, old) == []
