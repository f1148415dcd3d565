"""The Argo CD health check returns the right health for every status of a sync.

Argo CD runs the script in Lua 5.1 with the global `obj` and few libraries. The tests
run the same script with lupa.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml
from lupa.lua51 import LuaRuntime

from configmapsync.conditions import status
from configmapsync.names import GROUP, KIND
from configmapsync.reasons import Heals, Outcome, Reason
from tests.configmapsync.objects import report, source, stored_status
from tests.support.cluster import Cluster
from tests.support.manifests import CONFIG, build, named

FOLDER = CONFIG / "argocd"
KEY = f"resource.customizations.health.{GROUP}_{KIND}"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
RUN = """
function(script, obj)
  local compiled = assert(loadstring(script))
  setfenv(compiled, {obj = obj, ipairs = ipairs})
  return compiled()
end
"""
HEALTH = {Reason.SYNCED: "Healthy", Reason.SUSPENDED: "Suspended"} | {
    reason: "Degraded" for reason in Reason if reason.heals is Heals.EDIT
}
Check = Callable[..., tuple[str, str]]


@pytest.fixture(scope="module")
def health() -> Check:
    """Run the script on a sync with this status and return health and message."""
    lua = LuaRuntime(register_eval=False, register_builtins=False)
    run = lua.eval(RUN)
    script = named(build(FOLDER), "ConfigMap", "argocd-cm")["data"][KEY]

    def check(reported: dict[str, Any] | None, generation: int = 4) -> tuple[str, str]:
        sync: dict[str, Any] = {"metadata": {"name": "shared", "generation": generation}}
        if reported is not None:
            sync["status"] = reported
        answer = run(script, lua.table_from(sync, recursive=True))
        return answer["status"], answer["message"]

    return check


def written(*outcomes: Outcome, verdict: Outcome | None = None) -> dict[str, Any]:
    """Return the status as the reconciler writes it and the API server stores it."""
    made = report(
        generation=4, source=source(), digest="sha256:1", outcomes=outcomes, verdict=verdict
    )
    return stored_status(status(made, NOW))


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_for_the_whole_sync_has_its_health(health: Check, reason: Reason) -> None:
    verdict = None if reason is Reason.SYNCED else Outcome("", reason, "why")
    outcomes = (Outcome("web", Reason.SYNCED),) if verdict is None else ()

    found, message = health(written(*outcomes, verdict=verdict))

    assert found == HEALTH.get(reason, "Progressing")
    assert message.startswith(f"{reason}: ")


@pytest.mark.parametrize("reason", sorted(set(Reason) - {Reason.SUSPENDED}))
def test_every_reason_of_one_destination_has_its_health(health: Check, reason: Reason) -> None:
    found, message = health(written(Outcome("shop", Reason.SYNCED), Outcome("web", reason, "why")))

    assert found == HEALTH.get(reason, "Progressing")
    assert message.startswith(f"{reason}: ")


@pytest.mark.parametrize(
    "reported", [None, {}, {"observedGeneration": -1}, {"observedGeneration": 4}]
)
def test_a_sync_that_the_reconciler_has_not_seen_is_progressing(
    health: Check, reported: dict[str, Any] | None
) -> None:
    assert health(reported)[0] == "Progressing"


def test_a_status_of_an_older_generation_is_progressing(health: Check) -> None:
    assert health(written(Outcome("web", Reason.SYNCED)), generation=5)[0] == "Progressing"


def test_not_ready_without_another_condition_is_degraded(health: Check) -> None:
    reported = written(verdict=Outcome("", Reason.WRITE_FAILED, "why"))
    reported["conditions"] = [
        condition for condition in reported["conditions"] if condition["type"] == "Ready"
    ]

    assert health(reported) == ("Degraded", "WriteFailed: why")


def test_applying_it_adds_one_key_to_the_configuration_of_argo_cd(
    cluster: Cluster, namespace: str
) -> None:
    here = f"--namespace={namespace}"
    cluster.kubectl(
        "create", "configmap", "argocd-cm", "--from-literal=url=https://argocd.example.com", here
    )

    cluster.kubectl("apply", "--server-side", f"--filename={FOLDER / 'argocd-cm.yaml'}", here)

    data = yaml.safe_load(
        cluster.kubectl("get", "configmap", "argocd-cm", "--output=yaml", here).stdout
    )["data"]
    assert set(data) == {"url", KEY}
