"""The tool as a process, against an API server."""

import base64
import json
import secrets
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from certs.bundle import authorities_in
from certs.material import Material
from tests.support.cluster import Cluster
from tests.support.processes import Process

CONFIGURATIONS = "/apis/admissionregistration.k8s.io/v1"
KINDS = {
    "mutatingwebhookconfigurations": "Mutating",
    "validatingwebhookconfigurations": "Validating",
}


@dataclass
class Installed:
    """A namespace and two webhook configurations, and the tool pointed at them."""

    cluster: Cluster
    namespace: str
    name: str
    folder: Path

    def start(self, *arguments: str) -> Process:
        log = self.folder / f"{secrets.token_hex(4)}.log"
        return Process.python(
            "certs",
            *arguments,
            "--kubeconfig",
            self.cluster.kubeconfig,
            *(
                "--relaxed-tls",
                "--settling",
                "0s",
                "--patience",
                "0s",
                "--namespace",
                self.namespace,
            ),
            *("--mutating-configuration", self.name, "--validating-configuration", self.name),
            log=log,
        )

    def run(self, *arguments: str, code: int = 0) -> str:
        process = self.start(*arguments)
        assert process.wait() == code, process.explain("another exit code was expected")
        return process.output()

    @property
    def secret_path(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}/secrets/configmapsync-webhook"

    def secret(self) -> dict[str, Any]:
        return self.cluster.get(self.secret_path)

    @property
    def authority_path(self) -> str:
        return f"{self.secret_path}-ca"

    def material(self) -> Material:
        authority, serving = (
            {name: base64.b64decode(text) for name, text in self.cluster.get(path)["data"].items()}
            for path in (self.authority_path, self.secret_path)
        )
        return Material.from_files(authority, serving)

    def paths(self) -> list[str | None]:
        return [
            webhook["clientConfig"]["service"].get("path")
            for resource in KINDS
            for webhook in self.cluster.get(self.path_of(resource))["webhooks"]
        ]

    def path_of(self, resource: str) -> str:
        return f"{CONFIGURATIONS}/{resource}/{self.name}"

    def bundles(self) -> list[bytes]:
        return [
            base64.b64decode(webhook["clientConfig"].get("caBundle", ""))
            for resource in KINDS
            for webhook in self.cluster.get(self.path_of(resource))["webhooks"]
        ]

    def empty_bundles(self) -> None:
        for resource in KINDS:
            document = self.cluster.get(self.path_of(resource))
            for webhook in document["webhooks"]:
                webhook["clientConfig"]["caBundle"] = ""
            self.cluster.replace(self.path_of(resource), document)


def _configuration(kind: str, name: str, namespace: str) -> dict[str, Any]:
    """Two webhooks that no request of any test ever matches."""
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": f"{kind}WebhookConfiguration",
        "metadata": {"name": name},
        "webhooks": [
            {
                "name": f"{which}.example.com",
                "admissionReviewVersions": ["v1"],
                "clientConfig": {
                    "service": {"namespace": namespace, "name": "configmapsync-webhook"}
                },
                "rules": [
                    {
                        "apiGroups": [name],
                        "apiVersions": ["v1"],
                        "resources": ["nothing"],
                        "operations": ["CREATE"],
                    }
                ],
                "sideEffects": "None",
            }
            for which in ("first", "second")
        ],
    }


@pytest.fixture
def installed(cluster: Cluster, namespace: str, tmp_path: Path) -> Iterator[Installed]:
    installed = Installed(cluster, namespace, namespace, tmp_path)
    for resource, kind in KINDS.items():
        cluster.create(
            f"{CONFIGURATIONS}/{resource}", _configuration(kind, installed.name, namespace)
        )
    yield installed
    for resource in KINDS:
        cluster.delete(installed.path_of(resource))


def test_everything_is_made_and_trusted_and_a_second_run_writes_nothing(installed: Installed):
    installed.run("ensure")
    secret, authority = installed.secret(), installed.cluster.get(installed.authority_path)
    assert (secret["type"], authority["type"]) == ("kubernetes.io/tls", "Opaque")
    assert set(secret["data"]) == {"tls.crt", "tls.key", "ca.crt", "path-token"}
    assert set(authority["data"]) == {"ca.crt", "ca.key"}
    assert installed.bundles() == [installed.material().authorities] * 4
    token = installed.material().path_token.decode()
    assert installed.paths() == [
        f"/{token}/{verb}-apps-nishaf-info-v1-configmapsync"
        for verb in ("mutate", "mutate", "validate", "validate")
    ]
    before = [
        installed.cluster.get(installed.path_of(resource))["metadata"]["resourceVersion"]
        for resource in KINDS
    ]
    installed.run("ensure")
    assert (
        installed.secret()["metadata"]["resourceVersion"] == secret["metadata"]["resourceVersion"]
    )
    assert installed.cluster.get(installed.authority_path) == authority
    assert before == [
        installed.cluster.get(installed.path_of(resource))["metadata"]["resourceVersion"]
        for resource in KINDS
    ]


def test_runs_at_once_end_with_one_certificate(installed: Installed):
    runs = [installed.start("ensure") for _ in range(3)]
    assert [run.wait() for run in runs] == [0, 0, 0], "\n".join(run.output() for run in runs)
    assert installed.bundles() == [installed.material().authorities] * 4
    assert len(authorities_in(installed.material().authorities)) == 1


def test_an_emptied_bundle_is_repaired(installed: Installed):
    installed.run("ensure")
    installed.empty_bundles()
    installed.run("ensure")
    assert installed.bundles() == [installed.material().authorities] * 4


def test_a_lost_secret_is_made_again_and_the_old_authority_stays_trusted(installed: Installed):
    installed.run("ensure")
    lost = authorities_in(installed.material().authorities)[0]
    installed.cluster.delete(installed.secret_path)
    installed.cluster.delete(installed.authority_path)
    paths = installed.paths()
    installed.run("ensure")
    assert installed.paths() == paths
    for bundle in installed.bundles():
        current, old = authorities_in(bundle)
        assert (current, old) == (authorities_in(installed.material().authorities)[0], lost)


def test_after_a_revocation_nothing_of_before_is_trusted_or_kept(installed: Installed):
    installed.run("ensure")
    before = installed.material()
    installed.run("revoke")
    after = installed.material()
    assert installed.bundles() == [after.authorities] * 4
    assert authorities_in(after.revoked) == authorities_in(before.authorities)
    assert set(authorities_in(after.authorities)).isdisjoint(authorities_in(before.authorities))
    assert after.certificate != before.certificate
    assert all(before.path_token.decode() not in path for path in installed.paths())
    written = installed.secret(), installed.cluster.get(installed.authority_path)
    installed.run("ensure")
    assert written == (installed.secret(), installed.cluster.get(installed.authority_path))


def test_two_renewals_of_everything_at_once_make_one_authority_each_at_most(installed: Installed):
    installed.run("ensure")
    runs = [installed.start("ensure", "--renew", "all") for _ in range(2)]
    assert [run.wait() for run in runs] == [0, 0], "\n".join(run.output() for run in runs)
    assert installed.bundles() == [installed.material().authorities] * 4
    assert 2 <= len(authorities_in(installed.material().authorities)) <= 3


def test_the_only_secret_of_version_0_1_0_becomes_two_with_the_same_authority(installed: Installed):
    installed.run("ensure", "--no-unguessable-path")
    key = installed.cluster.get(installed.authority_path)["data"]["ca.key"]
    installed.cluster.delete(installed.authority_path)
    secret = installed.secret()
    installed.cluster.patch(installed.secret_path, {"data": {"ca.key": key}})
    installed.run("ensure", "--no-unguessable-path")
    assert installed.secret()["data"] == secret["data"]
    assert installed.cluster.get(installed.authority_path)["data"]["ca.key"] == key
    assert len(authorities_in(installed.bundles()[0])) == 1


def test_a_foreign_secret_is_not_overwritten(installed: Installed):
    theirs = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "configmapsync-webhook"},
        "type": "kubernetes.io/tls",
        "stringData": {"tls.crt": "theirs", "tls.key": "theirs"},
    }
    installed.cluster.create(f"/api/v1/namespaces/{installed.namespace}/secrets", theirs)
    output = installed.run("ensure", code=1)
    assert "choose another name with --secret" in output
    assert base64.b64decode(installed.secret()["data"]["tls.crt"]) == b"theirs"
    assert installed.bundles() == [b""] * 4


def test_a_missing_configuration_is_logged_and_the_next_run_continues(
    installed: Installed,
):
    document = installed.cluster.get(installed.path_of("validatingwebhookconfigurations"))
    installed.cluster.delete(installed.path_of("validatingwebhookconfigurations"))
    assert installed.name in installed.run("ensure", code=1)
    made = installed.cluster.get(installed.authority_path)
    del document["metadata"]["resourceVersion"], document["metadata"]["uid"]
    installed.cluster.create(f"{CONFIGURATIONS}/validatingwebhookconfigurations", document)
    installed.run("ensure")
    assert installed.cluster.get(installed.authority_path) == made
    assert installed.bundles() == [installed.material().authorities] * 4


def test_inspect_prints_what_is_due_and_changes_nothing(installed: Installed):
    def inspected() -> dict[str, Any]:
        output = installed.run("inspect", "--output", "json")
        return json.loads(output[output.index("{") :])

    assert inspected()["due"] is True
    assert installed.cluster.find(installed.secret_path) is None
    installed.run("ensure")
    found = inspected()
    assert found["due"] is False
    assert [finding["reason"] for finding in found["findings"]][2:] == [
        "is in order",
        *["trusts the right authorities and has the right path"] * 2,
    ]
    installed.empty_bundles()
    assert [finding["renew"] for finding in inspected()["findings"]] == [
        False,
        False,
        False,
        True,
        True,
    ]
    text = installed.run("inspect")
    assert f"configmapsync-webhook.{installed.namespace}.svc" in text
    assert "does not trust the right authorities: ensure would act" in text


def test_no_key_is_ever_printed(installed: Installed):
    output = (
        installed.run("ensure", "--log-level", "debug")
        + installed.run("inspect")
        + installed.run("ensure")
    )
    assert "PRIVATE" not in output
    assert base64.b64encode(installed.material().key).decode() not in output
    assert installed.material().path_token.decode() not in output


def test_an_unreachable_cluster_is_one_log_line(tmp_path: Path):
    kubeconfig = tmp_path / "kubeconfig"
    process = Process(
        [sys.executable, "-m", "certs", "ensure", "--kubeconfig", kubeconfig], tmp_path / "log"
    )
    assert process.wait() == 1
    assert "Traceback" not in process.output()
    assert len(process.output().splitlines()) == 1
