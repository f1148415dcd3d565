import pytest

from devcluster.admission.configurations import configuration_problems, with_defaults

GOOD = {
    "name": "a.example.com",
    "clientConfig": {"url": "https://h/x"},
    "sideEffects": "None",
    "admissionReviewVersions": ["v1"],
}
RULE = {"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}


def problems(*webhooks, kind="ValidatingWebhookConfiguration") -> list[str]:
    configuration = with_defaults(
        {"kind": kind, "metadata": {"name": "x"}, "webhooks": list(webhooks)}
    )
    return [
        f"{cause.field.removeprefix('webhooks[0].')}: {cause.message}"
        for cause in configuration_problems(configuration)
    ]


def test_what_is_left_open_gets_the_defaults_of_the_real_server():
    service = {"namespace": "n", "name": "s"}
    configuration = {
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": "x"},
        "webhooks": [GOOD | {"clientConfig": {"service": service}, "rules": [RULE]}],
    }
    (webhook,) = with_defaults(configuration)["webhooks"]
    assert webhook == GOOD | {
        "clientConfig": {"service": service | {"port": 443}},
        "rules": [RULE | {"scope": "*"}],
        "failurePolicy": "Fail",
        "matchPolicy": "Equivalent",
        "namespaceSelector": {},
        "objectSelector": {},
        "timeoutSeconds": 10,
        "reinvocationPolicy": "Never",
    }
    assert service == {"namespace": "n", "name": "s"}, "the input is left as it was"


def test_a_good_webhook_has_no_problems_nor_has_an_empty_configuration():
    assert (
        problems(
            GOOD, GOOD | {"name": "b.example.com", "admissionReviewVersions": ["v9", "v1beta1"]}
        )
        == []
    )
    assert (
        configuration_problems(
            {"kind": "ValidatingWebhookConfiguration", "metadata": {"name": "x"}}
        )
        == []
    )


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            {"name": "a"},
            [
                (
                    'name: Invalid value: "a": should be a domain with at least three segments '
                    "separated by dots"
                )
            ],
        ),
        ({"name": ""}, ["name: Required value"]),
        (
            {"sideEffects": None},
            ["sideEffects: Required value: must specify one of None, NoneOnDryRun"],
        ),
        (
            {"sideEffects": "Some"},
            ['sideEffects: Unsupported value: "Some": supported values: "None", "NoneOnDryRun"'],
        ),
        (
            {"timeoutSeconds": 31},
            [
                (
                    "timeoutSeconds: Invalid value: 31: the timeout value must be between 1 and "
                    "30 seconds"
                )
            ],
        ),
        (
            {"timeoutSeconds": 0},
            [
                (
                    "timeoutSeconds: Invalid value: 0: the timeout value must be between 1 and 30 "
                    "seconds"
                )
            ],
        ),
        (
            {"failurePolicy": "X"},
            ['failurePolicy: Unsupported value: "X": supported values: "Fail", "Ignore"'],
        ),
        (
            {"matchPolicy": "Y"},
            ['matchPolicy: Unsupported value: "Y": supported values: "Equivalent", "Exact"'],
        ),
        (
            {"clientConfig": {}},
            ["clientConfig: Required value: exactly one of url or service is required"],
        ),
        (
            {"clientConfig": {"url": "https://h", "service": {"name": "a", "namespace": "b"}}},
            ["clientConfig: Required value: exactly one of url or service is required"],
        ),
        (
            {"clientConfig": {"url": "http://h/x"}},
            [
                (
                    "clientConfig.url: Invalid value: \"http\": 'https' is the only allowed "
                    "URL scheme; "
                    "desired format: https://host[/path]"
                )
            ],
        ),
        (
            {"clientConfig": {"url": "https://u:p@h/x?q=1#f"}},
            [
                (
                    'clientConfig.url: Invalid value: "u:p": user information is not permitted in '
                    "the URL"
                ),
                'clientConfig.url: Invalid value: "f": fragments are not permitted in the URL',
                (
                    'clientConfig.url: Invalid value: "q=1": query parameters are not permitted '
                    "in the URL"
                ),
            ],
        ),
        (
            {"clientConfig": {"service": {"name": "", "namespace": "", "path": "x", "port": 0}}},
            [
                "clientConfig.service.name: Required value",
                "clientConfig.service.namespace: Required value",
                (
                    "clientConfig.service.port: Invalid value: 0: port is not valid: must be "
                    "between 1 and 65535, inclusive"
                ),
                "clientConfig.service.path: Invalid value: \"x\": must start with a '/'",
                'clientConfig.service.path: Invalid value: "x": segment[0] may not be empty',
            ],
        ),
        (
            {
                "clientConfig": {
                    "service": {
                        "name": "a",
                        "namespace": "b",
                        "path": "/To-ken_/mutate",
                        "port": 443,
                    }
                }
            },
            [
                (
                    'clientConfig.service.path: Invalid value: "/To-ken_/mutate": segment[0]: '
                    "a lowercase RFC 1123 subdomain "
                    "must consist of lower case alphanumeric characters, '-' or '.', and must "
                    "start and end with an "
                    "alphanumeric character (e.g. 'example.com', regex used for validation is "
                    r"'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
                ),
            ],
        ),
        (
            {"admissionReviewVersions": []},
            ["admissionReviewVersions: Required value: must specify one of v1, v1beta1"],
        ),
        (
            {"admissionReviewVersions": ["v2", "v2"]},
            [
                'admissionReviewVersions[1]: Invalid value: "v2": duplicate version',
                (
                    'admissionReviewVersions: Invalid value: ["v2","v2"]: must include at least '
                    "one of v1, v1beta1"
                ),
            ],
        ),
        (
            {"rules": [{}]},
            [
                "rules[0].operations: Required value",
                "rules[0].apiGroups: Required value",
                "rules[0].apiVersions: Required value",
                "rules[0].resources: Required value",
            ],
        ),
        (
            {"rules": [RULE | {"operations": ["create"], "scope": "Q"}]},
            [
                (
                    'rules[0].operations[0]: Unsupported value: "create": '
                    'supported values: "*", "CONNECT", "CREATE", "DELETE", "UPDATE"'
                ),
                (
                    'rules[0].scope: Unsupported value: "Q": supported values: "*", "Cluster", '
                    '"Namespaced"'
                ),
            ],
        ),
        (
            {"rules": [RULE | {"resources": ["pods/*", "pods/log", "*", ""]}]},
            [
                (
                    "rules[0].resources[1]: Invalid value: \"pods/log\": if 'pods/*' is present, "
                    "must not specify pods/log"
                ),
                "rules[0].resources[3]: Required value",
                (
                    'rules[0].resources: Invalid value: ["pods/*","pods/log","*",""]: '
                    "if '*' is present, must not specify other resources without subresources"
                ),
            ],
        ),
        (
            {
                "namespaceSelector": {
                    "matchExpressions": [
                        {"key": "a", "operator": "Foo"},
                        {"key": "a", "operator": "In"},
                    ]
                }
            },
            [
                (
                    'namespaceSelector.matchExpressions[0].operator: Invalid value: "Foo": not a '
                    "valid selector operator"
                ),
                (
                    "namespaceSelector.matchExpressions[1].values: Required value: "
                    "must be specified when `operator` is 'In' or 'NotIn'"
                ),
            ],
        ),
    ],
)
def test_each_problem_is_told_in_kubernetes_own_words(change, expected):
    assert problems(GOOD | change) == expected


def test_names_are_unique_within_a_configuration():
    assert problems(GOOD, GOOD) == ['webhooks[1].name: Duplicate value: "a.example.com"']


def test_conditions_need_a_unique_name_and_an_expression_that_can_be_parsed():
    conditions = [
        {"name": "", "expression": ""},
        {"name": "x y", "expression": "true"},
        {"name": "b", "expression": "true"},
        {"name": "b", "expression": "a &&"},
    ]
    found = problems(GOOD | {"matchConditions": conditions})
    assert [problem.partition(": ")[0] for problem in found] == [
        "matchConditions[0].expression",
        "matchConditions[0].name",
        "matchConditions[1].name",
        "matchConditions[3].expression",
        "matchConditions[3].name",
    ]
    assert "compilation failed" in found[3]


def test_only_mutating_webhooks_have_a_reinvocation_policy_to_get_wrong():
    wrong = GOOD | {"reinvocationPolicy": "Foo"}
    assert problems(wrong) == []
    expected = 'reinvocationPolicy: Unsupported value: "Foo": supported values: "IfNeeded", "Never"'
    assert problems(wrong, kind="MutatingWebhookConfiguration") == [expected]
