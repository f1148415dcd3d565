"""The OpenAPI documents, as kubectl reads them."""

from typing import Any

from devcluster.output import openapi
from devcluster.schema.crds import kinds_of
from devcluster.schema.kinds import BUILT_IN

WIDGETS = list(
    kinds_of(
        {
            "spec": {
                "group": "lab.test",
                "scope": "Namespaced",
                "names": {"plural": "widgets", "kind": "Widget"},
                "versions": [
                    {
                        "name": "v1",
                        "served": True,
                        "storage": True,
                        "subresources": {"status": {}},
                        "schema": {
                            "openAPIV3Schema": {
                                "type": "object",
                                "properties": {
                                    "spec": {"type": "object", "description": "What it is."}
                                },
                            }
                        },
                    }
                ],
            }
        }
    )
)


def document(root: str) -> Any:
    found = openapi.v3_document(root, [*BUILT_IN, *WIDGETS])
    assert found is not None
    return found


def test_the_index_leads_to_every_group_and_version_by_a_hash_that_moves_with_its_content() -> None:
    before = openapi.v3_index(BUILT_IN)["paths"]
    after = openapi.v3_index([*BUILT_IN, *WIDGETS])["paths"]

    assert {"api/v1", "apis/apps/v1", "apis/coordination.k8s.io/v1"} <= before.keys()
    assert after.keys() - before.keys() == {"apis/lab.test/v1"}
    assert after["api/v1"] == before["api/v1"]
    assert after["apis/lab.test/v1"]["serverRelativeURL"].startswith(
        "/openapi/v3/apis/lab.test/v1?hash="
    )


def test_what_is_not_served_has_no_document() -> None:
    assert openapi.v3_document("apis/lab.test/v1", BUILT_IN) is None


def test_a_custom_kind_is_explained_by_its_schema() -> None:
    schema = document("apis/lab.test/v1")["components"]["schemas"]["test.lab.v1.Widget"]

    assert schema["properties"]["spec"]["description"] == "What it is."
    assert schema["x-kubernetes-group-version-kind"] == [
        {"group": "lab.test", "version": "v1", "kind": "Widget"}
    ]
    assert schema["properties"]["metadata"]["allOf"][0]["$ref"].endswith("ObjectMeta")


def test_writes_may_carry_field_validation_everywhere() -> None:
    for root in ("api/v1", "apis/lab.test/v1", "apis/apps/v1"):
        for path in document(root)["paths"].values():
            if "patch" in path:
                assert "fieldValidation" in {
                    parameter["name"] for parameter in path["patch"]["parameters"]
                }


def test_strategic_merge_is_offered_where_every_field_is_known() -> None:
    def patches(path: str) -> set[str]:
        root = path[1:].rsplit("/namespaces", 1)[0]
        return set(document(root)["paths"][path]["patch"]["requestBody"]["content"])

    strategic = "application/strategic-merge-patch+json"
    assert strategic in patches("/api/v1/namespaces/{namespace}/configmaps/{name}")
    assert strategic not in patches("/apis/apps/v1/namespaces/{namespace}/deployments/{name}")
    assert strategic not in patches("/apis/lab.test/v1/namespaces/{namespace}/widgets/{name}")


def test_lists_say_how_they_merge() -> None:
    schemas = document("api/v1")["components"]["schemas"]
    metadata = schemas["io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"]["properties"]

    assert metadata["ownerReferences"]["x-kubernetes-patch-merge-key"] == "uid"
    assert metadata["finalizers"]["x-kubernetes-patch-strategy"] == "merge"
