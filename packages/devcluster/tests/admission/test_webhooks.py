"""Check that kubectl prints the answer of an admission webhook behind a service."""

import asyncio

import pytest
import yaml

from harness.scripted import ScriptedWebhook
from tests.support.devcluster import DevCluster
from tests.support.kubectl import Kubectl
from tests.support.users import ADMIN, new_users, write_kubeconfig


def registration(kind: str, webhook: ScriptedWebhook, path: str) -> str:
    """Return a configuration that calls the service team/hook for ConfigMaps in `default`."""
    service = {"namespace": "team", "name": "hook", "path": f"/{path}"}
    return yaml.safe_dump(
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": f"{kind}WebhookConfiguration",
            "metadata": {"name": path},
            "webhooks": [
                {
                    "name": f"{path}.example.com",
                    "clientConfig": {"service": service, "caBundle": webhook.ca_bundle},
                    "rules": [
                        {
                            "apiGroups": [""],
                            "apiVersions": ["v1"],
                            "resources": ["configmaps"],
                            "operations": ["*"],
                        }
                    ],
                    "namespaceSelector": {
                        "matchLabels": {"kubernetes.io/metadata.name": "default"}
                    },
                    "sideEffects": "None",
                    "admissionReviewVersions": ["v1"],
                }
            ],
        }
    )


@pytest.fixture
async def kubectl(webhook, tmp_path):
    """Run kubectl beside the event loop that the webhook answers on."""
    users = new_users()
    folder = tmp_path / "cluster"
    folder.mkdir()
    address = f"--service-address=team/hook=127.0.0.1:{webhook.port}"
    cluster = await asyncio.to_thread(DevCluster, folder, users, address)
    token = next(user.token for user in users if user.name == ADMIN)
    kubeconfig = write_kubeconfig(
        folder / "kubeconfig", cluster.url, cluster.authority_file, {"token": token}
    )
    program = Kubectl(kubeconfig, folder / "cache")

    async def run(*arguments: str, **options):
        return await asyncio.to_thread(program, *arguments, **options)

    yield run
    await asyncio.to_thread(cluster.stop)


async def test_a_refusal_is_printed_as_the_webhook_has_worded_it(kubectl, webhook):
    await kubectl("apply", "-f", "-", input=registration("Validating", webhook, "v"))
    webhook.answers["v"] = [
        {"allowed": False, "status": {"code": 403, "message": "not today"}, "warnings": ["careful"]}
    ]
    done = await kubectl("create", "configmap", "a", check=False)
    assert done.returncode == 1
    assert 'admission webhook "v.example.com" denied the request: not today' in done.stderr
    assert "Warning: careful" in done.stderr
    assert "NotFound" in (await kubectl("get", "configmap", "a", check=False)).stderr


async def test_causes_are_printed_field_by_field(kubectl, webhook):
    await kubectl("apply", "-f", "-", input=registration("Validating", webhook, "v"))
    causes = [{"reason": "FieldValueInvalid", "field": "data.k", "message": "Invalid value: bad"}]
    details = {"name": "a", "kind": "ConfigMap", "causes": causes}
    status = {"code": 422, "reason": "Invalid", "message": "no", "details": details}
    webhook.answers["v"] = [{"allowed": False, "status": status}]
    document = yaml.safe_dump({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}})
    done = await kubectl("apply", "-f", "-", input=document, check=False)
    assert done.stderr.strip() == 'The ConfigMap "a" is invalid: data.k: Invalid value: bad'


async def test_what_a_mutating_webhook_adds_is_stored(kubectl, webhook):
    await kubectl("apply", "-f", "-", input=registration("Mutating", webhook, "m"))
    webhook.answers["m"] = [
        {"allowed": True, "patch": [{"op": "add", "path": "/data", "value": {"added": "yes"}}]}
    ]
    await kubectl("create", "configmap", "a")
    shown = await kubectl("get", "configmap", "a", "-o", "jsonpath={.data.added}")
    assert shown.stdout == "yes"


async def test_every_kind_of_write_is_reviewed_and_a_dry_run_says_so(kubectl, webhook):
    await kubectl("apply", "-f", "-", input=registration("Validating", webhook, "v"))
    await kubectl("create", "configmap", "a", "--dry-run=server")
    await kubectl("create", "configmap", "a")
    await kubectl("label", "configmap", "a", "x=y")
    await kubectl("delete", "configmap", "a")
    await kubectl("create", "configmap", "a", "-n", "kube-public")
    told = [(review["operation"], review["name"], review["dryRun"]) for review in webhook.reviews]
    assert told == [
        ("CREATE", "a", True),
        ("CREATE", "a", False),
        ("UPDATE", "a", False),
        ("DELETE", "a", False),
    ]
    assert {review["userInfo"]["username"] for review in webhook.reviews} == {ADMIN}


async def test_a_webhook_that_is_gone_stops_the_writes_it_guards_and_nothing_else(kubectl, webhook):
    gone = registration("Validating", webhook, "v").replace("name: hook", "name: nobody")
    await kubectl("apply", "-f", "-", input=gone)
    done = await kubectl("create", "configmap", "a", check=False)
    assert 'failed calling webhook "v.example.com"' in done.stderr
    assert 'service "nobody" not found' in done.stderr
    await kubectl("create", "configmap", "a", "-n", "kube-public")
    await kubectl("create", "namespace", "unaffected")


async def test_a_configuration_that_could_not_work_is_refused(kubectl, webhook):
    broken = registration("Validating", webhook, "v").replace(
        "sideEffects: None", "sideEffects: Some"
    )
    done = await kubectl("apply", "-f", "-", input=broken, check=False)
    assert 'webhooks[0].sideEffects: Unsupported value: "Some"' in done.stderr
