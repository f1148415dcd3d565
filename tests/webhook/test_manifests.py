"""`config/default` and the processes agree about paths, names and limits."""

from typing import Any

import pytest

from certs.settings import Settings as CertsSettings
from certs.trust import PATHS as PATHS_OF_THE_TOOL
from configmapsync.names import GROUP, PLURAL, VERSION
from runtime.settings import load
from tests.support.manifests import build, named
from webhook.admission import DECISION_SECONDS
from webhook.paths import MUTATE_PATH, VALIDATE_PATH

NAME = "configmapsync-webhook"
PATHS = {
    "MutatingWebhookConfiguration": MUTATE_PATH,
    "ValidatingWebhookConfiguration": VALIDATE_PATH,
}


@pytest.fixture(params=PATHS)
def configuration(request: pytest.FixtureRequest) -> dict[str, Any]:
    return named(build(), request.param, NAME)


def test_it_is_called_at_its_service(configuration: dict[str, Any]):
    [webhook] = configuration["webhooks"]
    service = named(build(), "Service", NAME)["metadata"]
    assert webhook["clientConfig"]["service"] == {
        "namespace": service["namespace"],
        "name": service["name"],
    }


def test_the_certificate_tool_writes_the_path_where_it_listens(configuration: dict[str, Any]):
    paths = {kind.plural: path for kind, path in PATHS_OF_THE_TOOL.items()}
    assert paths[f"{configuration['kind'].lower()}s"] == PATHS[configuration["kind"]]


def test_the_certificate_tool_finds_it_by_its_defaults(configuration: dict[str, Any]):
    settings = load(CertsSettings, "configmapsync-certs", ["ensure"])
    service = configuration["webhooks"][0]["clientConfig"]["service"]
    assert (settings.service, settings.namespace) == (service["name"], service["namespace"])
    assert configuration["metadata"]["name"] in {
        settings.mutating_configuration,
        settings.validating_configuration,
    }


def test_only_writes_of_configmapsyncs_depend_on_the_webhook(configuration: dict[str, Any]):
    [webhook] = configuration["webhooks"]
    assert webhook["rules"] == [
        {
            "apiGroups": [GROUP],
            "apiVersions": [VERSION],
            "resources": [PLURAL],
            "operations": ["CREATE", "UPDATE"],
            "scope": "Namespaced",
        }
    ]
    assert (webhook["failurePolicy"], webhook["sideEffects"], webhook["matchPolicy"]) == (
        "Fail",
        "None",
        "Equivalent",
    )


def test_a_decision_is_made_before_the_api_server_times_out(configuration: dict[str, Any]):
    assert configuration["webhooks"][0]["timeoutSeconds"] == 5
    assert DECISION_SECONDS < 5
