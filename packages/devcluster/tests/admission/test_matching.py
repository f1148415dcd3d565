import pytest

from devcluster.admission.configurations import with_defaults
from devcluster.admission.matching import is_called
from devcluster.admission.request import Operation, Resource
from devcluster.admission.webhook import parse_webhook
from harness.scripted import NAMESPACES, configmap, write

CONFIGURATIONS = Resource(
    "admissionregistration.k8s.io",
    "v1",
    "ValidatingWebhookConfiguration",
    "validatingwebhookconfigurations",
    namespaced=False,
)


def matches(request, rule=None, **webhook) -> bool:
    everything = {"apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"], "operations": ["*"]}
    document = {
        "name": "w.example.com",
        "clientConfig": {"url": "https://h"},
        "rules": [everything | (rule or {})],
        "admissionReviewVersions": ["v1"],
    }
    configuration = with_defaults(
        {
            "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": "c"},
            "webhooks": [document | webhook],
        }
    )
    return is_called(parse_webhook("c", configuration["webhooks"][0]), request)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({}, True),
        ({"apiGroups": [""]}, True),
        ({"apiGroups": ["apps"]}, False),
        ({"apiVersions": ["v1"]}, True),
        ({"apiVersions": ["v2"]}, False),
        ({"resources": ["configmaps"]}, True),
        ({"resources": ["secrets", "configmaps/status"]}, False),
        ({"resources": ["configmaps/*"]}, True),
        ({"resources": ["*/*"]}, True),
        ({"operations": ["CREATE"]}, True),
        ({"operations": ["UPDATE", "DELETE"]}, False),
        ({"scope": "Namespaced"}, True),
        ({"scope": "Cluster"}, False),
    ],
)
def test_a_rule_names_group_version_resource_operation_and_scope(rule, expected):
    assert matches(write(), rule) is expected


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        ("*", False),
        ("configmaps", False),
        ("configmaps/status", True),
        ("configmaps/*", True),
        ("*/status", True),
    ],
)
def test_a_subresource_is_matched_only_by_name_or_slash_star(resource, expected):
    assert (
        matches(write(Operation.UPDATE, subresource="status"), {"resources": [resource]})
        is expected
    )


def test_the_namespace_selector_looks_at_the_labels_of_the_namespace():
    selector = {"matchExpressions": [{"key": "team", "operator": "In", "values": ["a"]}]}
    assert matches(write(namespace_labels={"team": "a"}), namespaceSelector=selector)
    assert not matches(write(namespace_labels={"team": "b"}), namespaceSelector=selector)
    assert not matches(write(namespace_labels={}), namespaceSelector=selector)


def test_a_namespace_itself_is_selected_by_the_labels_it_is_about_to_have():
    selector = {"matchLabels": {"team": "a"}}
    labelled = {"metadata": {"name": "n", "labels": {"team": "a"}}}
    plain = {"metadata": {"name": "n"}}
    namespace = {"resource": NAMESPACES, "name": "n", "namespace": "n"}
    created = write(object=labelled, **namespace)
    assert matches(created, namespaceSelector=selector)
    unlabelled = write(
        Operation.UPDATE,
        object=plain,
        old_object=labelled,
        namespace_labels={"team": "a"},
        **namespace,
    )
    assert not matches(unlabelled, namespaceSelector=selector)
    deleted = write(
        Operation.DELETE, old_object=labelled, namespace_labels={"team": "a"}, **namespace
    )
    assert matches(deleted, namespaceSelector=selector)


def test_other_cluster_wide_objects_are_never_exempt_by_namespace():
    node = Resource("", "v1", "Node", "nodes", namespaced=False)
    assert matches(
        write(resource=node, namespace=""), namespaceSelector={"matchLabels": {"team": "a"}}
    )


def test_the_object_selector_looks_at_the_object_before_and_after():
    selector = {"matchLabels": {"watched": "yes"}}
    labelled = configmap() | {"metadata": {"name": "a", "labels": {"watched": "yes"}}}
    assert not matches(write(), objectSelector=selector)
    assert matches(write(object=labelled), objectSelector=selector)
    assert matches(write(Operation.UPDATE, old_object=labelled), objectSelector=selector)
    assert matches(write(Operation.DELETE, old_object=labelled), objectSelector=selector)


def test_webhook_configurations_are_never_sent_to_webhooks():
    assert not matches(write(resource=CONFIGURATIONS, namespace=""))


@pytest.mark.parametrize(
    ("operator", "values", "labels", "expected"),
    [
        ("In", ["a"], {"k": "a"}, True),
        ("In", ["a"], {}, False),
        ("NotIn", ["a"], {"k": "b"}, True),
        ("NotIn", ["a"], {}, True),
        ("NotIn", ["a"], {"k": "a"}, False),
        ("Exists", None, {"k": ""}, True),
        ("Exists", None, {}, False),
        ("DoesNotExist", None, {}, True),
        ("DoesNotExist", None, {"k": ""}, False),
    ],
)
def test_the_four_operators(operator, values, labels, expected):
    selector = {"matchExpressions": [{"key": "k", "operator": operator, "values": values}]}
    assert matches(write(namespace_labels=labels), namespaceSelector=selector) is expected
