"""A rendered copy keeps what is others', and nothing of an earlier template."""

from typing import Any

import pytest

from configmapsync.names import ADOPTED
from configmapsync.rendering import copy_template, render
from tests.configmapsync.objects import record, source, sync

TEMPLATE = copy_template(sync(), source())


def metadata(labels: dict[str, str], annotations: dict[str, str], **how: bool) -> dict[str, Any]:
    """Return the metadata that is written to a copy with more labels and annotations."""
    live = record(
        labels={**TEMPLATE.labels, **labels}, annotations={**TEMPLATE.annotations, **annotations}
    )
    written: dict[str, Any] = render(TEMPLATE, "there", live, **how)["metadata"]
    return written


@pytest.mark.parametrize(
    ("labels", "annotations"),
    [({}, {}), ({"team": "web"}, {}), ({}, {"note": "by hand"}), ({"team": "web"}, {"note": "x"})],
)
def test_labels_and_annotations_of_others_stay(
    labels: dict[str, str], annotations: dict[str, str]
) -> None:
    written = metadata(labels, annotations)

    assert written["labels"] == {**TEMPLATE.labels, **labels}
    kept = {key: written["annotations"][key] for key in (*TEMPLATE.annotations, *annotations)}
    assert kept == {**TEMPLATE.annotations, **annotations}


def test_an_adopted_configmap_without_labels_of_others_is_marked_as_adopted() -> None:
    assert ADOPTED not in metadata({}, {})["annotations"]
    assert metadata({}, {}, adopted=True)["annotations"][ADOPTED] == "true"
    assert metadata({}, {ADOPTED: "true"})["annotations"][ADOPTED] == "true"
