"""The audit log has user, verb, object and decision of every request."""

import json
from contextlib import closing
from pathlib import Path

from devcluster.access.audit import AuditLog
from devcluster.access.rbac import Attributes

STATUS = Attributes("patch", "apps.nishaf.info", "v1", "configmapsyncs", "status", "team", "one")


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_request_for_an_object_names_it(tmp_path: Path) -> None:
    with closing(AuditLog(tmp_path / "log")) as log:
        log.note("alice", STATUS, allowed=True)
    [event] = lines(tmp_path / "log")
    assert event["user"] == {"username": "alice"}
    assert event["verb"] == "patch"
    assert event["annotations"] == {"authorization.k8s.io/decision": "allow"}
    assert event["objectRef"] == {
        "apiGroup": "apps.nishaf.info",
        "apiVersion": "v1",
        "resource": "configmapsyncs",
        "subresource": "status",
        "namespace": "team",
        "name": "one",
    }


def test_what_is_refused_and_what_is_no_object_is_told_too(tmp_path: Path) -> None:
    with closing(AuditLog(tmp_path / "log")) as log:
        log.note("bob", STATUS, allowed=False)
        log.note("bob", Attributes("get", path="/healthz"), allowed=True)
    refused, health = lines(tmp_path / "log")
    assert refused["annotations"] == {"authorization.k8s.io/decision": "forbid"}
    assert health["requestURI"] == "/healthz"
    assert "objectRef" not in health


def test_without_a_file_nothing_is_written() -> None:
    AuditLog(None).note("alice", STATUS, allowed=True)
