import pytest

from devcluster.access.users import User
from devcluster.admission.request import AdmissionRequest, Operation, Resource
from devcluster.admission.review import write_review
from harness.scripted import configmap, write
from tests.webhook import recorded

SYNCS = Resource("apps.nishaf.info", "v1", "ConfigMapSync", "configmapsyncs", namespaced=True)


@pytest.mark.parametrize("name", recorded.NAMES)
def test_a_review_is_written_exactly_as_a_real_server_wrote_it(name):
    review = recorded.document(name)
    asked = review["request"]
    info = asked["userInfo"]
    extra = {key: tuple(values) for key, values in info.get("extra", {}).items()}
    request = AdmissionRequest(
        operation=Operation(asked["operation"]),
        resource=SYNCS,
        name=asked["name"],
        namespace=asked["namespace"],
        user=User(info["username"], info.get("uid", ""), tuple(info["groups"]), extra),
        object=asked["object"],
        old_object=asked["oldObject"],
        subresource=asked.get("subResource", ""),
        options={
            key: value
            for key, value in asked["options"].items()
            if key not in ("kind", "apiVersion")
        },
        dry_run=asked["dryRun"],
    )
    written = write_review(request, asked["uid"], "v1")
    assert written == review
    assert list(written["request"]) == list(asked)


def test_names_that_are_not_known_are_left_out():
    request = write(name="", namespace="", object=configmap())
    asked = write_review(request, "u", "v1")["request"]
    assert not {"name", "namespace", "subResource", "requestSubResource"} & set(asked)
    assert asked["oldObject"] is None
