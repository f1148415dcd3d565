"""Check that the CRD file matches the models, and that both reject the same specs."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configmapsync.crd import custom_resource_definition
from configmapsync.defaulting import with_defaults
from configmapsync.parsing import InvalidResourceError, parse
from configmapsync.validation import validate
from devcluster.schema.definition import definition_problems
from devcluster.schema.structural import StructuralSchema
from tests.configmapsync.objects import document

ROOT = Path(__file__).parents[2]
VERSION = custom_resource_definition()["spec"]["versions"][0]
SCHEMA = StructuralSchema(VERSION["schema"]["openAPIV3Schema"])
RECURSION_LIMIT_OF_CEL = "ignore:The recursion limit:hypothesis.errors.HypothesisWarning"


def test_the_generated_file_has_not_drifted() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "hack" / "manifests.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr


def test_the_api_server_accepts_the_definition() -> None:
    definition = custom_resource_definition()
    definition["spec"]["conversion"] = {"strategy": "None"}

    assert definition_problems(definition) == []


def test_every_field_is_described() -> None:
    def undescribed(schema: dict[str, Any], path: str) -> list[str]:
        found = [] if schema.get("description") or path in ("", "metadata") else [path]
        for name, below in schema.get("properties", {}).items():
            found += undescribed(below, f"{path}.{name}".lstrip("."))
        return found

    assert undescribed(VERSION["schema"]["openAPIV3Schema"], "") == []


def test_columns_and_names_are_those_of_the_design() -> None:
    assert [column["name"] for column in VERSION["additionalPrinterColumns"]] == [
        "Source-Namespace",
        "ConfigMap",
        "Synced",
        "Ready",
        "Reason",
        "Age",
    ]
    assert custom_resource_definition()["spec"]["names"]["shortNames"] == ["cmsync"]


names = st.sampled_from(("a", "team-*", "A", "-", "", "x" * 64, "b-c", "kube-root-ca.crt"))
specs = st.fixed_dictionaries(
    {},
    optional={
        "configMapName": names,
        "sourceNamespace": names,
        "destinationNamespace": names,
        "destinationNamespaces": st.lists(names, max_size=3),
        "destinationConfigMapName": names,
        "excludedNamespaces": st.lists(st.sampled_from(("z", "-")), max_size=2),
        "destinationNamespaceSelector": st.fixed_dictionaries(
            {},
            optional={
                "matchExpressions": st.lists(
                    st.fixed_dictionaries(
                        {"key": st.just("k"), "operator": st.sampled_from(("In", "Exists", "Foo"))},
                        optional={"values": st.lists(st.just("v"), max_size=1)},
                    ),
                    max_size=1,
                )
            },
        ),
        "keys": st.lists(
            st.fixed_dictionaries(
                {"key": st.sampled_from(("a", "*", "a b"))},
                optional={"as": st.sampled_from(("x", "*"))},
            ),
            max_size=1,
        ),
        "conflictPolicy": st.sampled_from(("Fail", "Adopt", "Foo")),
        "suspend": st.sampled_from((True, False, "yes")),
    },
)


def refused_by_models(spec: dict[str, Any]) -> bool:
    try:
        return bool(validate(with_defaults(parse(document(**{"configMapName": None, **spec})))))
    except InvalidResourceError:
        return True


def refused_by_schema(spec: dict[str, Any]) -> bool:
    made = {
        "apiVersion": "apps.nishaf.info/v1",
        "kind": "ConfigMapSync",
        "metadata": {"name": "s", "namespace": "home"},
    }
    return bool(SCHEMA.validate(SCHEMA.default({**made, "spec": spec}), None))


def is_self_sync(spec: dict[str, Any]) -> bool:
    """The schema rejects it. For the models it is a rule of the selection."""
    where = [spec.get("destinationNamespace"), *spec.get("destinationNamespaces", [])]
    return spec.get("sourceNamespace") in where


@settings(max_examples=400, deadline=None)
@pytest.mark.filterwarnings(RECURSION_LIMIT_OF_CEL)
@given(specs)
def test_schema_and_models_reject_the_same_specs(spec: dict[str, Any]) -> None:
    if not is_self_sync(spec) and len(
        {entry.get("as", entry["key"]) for entry in spec.get("keys", [])}
    ) == len(spec.get("keys", [])):
        assert refused_by_schema(spec) == refused_by_models(spec), spec


@pytest.mark.parametrize(
    "spec",
    [
        {"sourceNamespace": "a", "configMapName": "c", "destinationNamespace": "a"},
        {"sourceNamespace": "a", "configMapName": "c", "destinationNamespaces": ["a"]},
        {
            "sourceNamespace": "a",
            "configMapName": "c",
            "destinationNamespace": "a",
            "destinationConfigMapName": "c",
        },
    ],
)
def test_the_schema_rejects_a_copy_onto_the_source(spec: dict[str, Any]) -> None:
    assert refused_by_schema(spec)
    assert not refused_by_schema({**spec, "destinationConfigMapName": "other"})
