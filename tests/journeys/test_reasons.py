"""Every reason occurs, and is the same in condition, event, metric and log line."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from configmapsync.reasons import Reason, State
from tests.journeys.rivals import resetting
from tests.journeys.scrape import scrape
from tests.journeys.stage import Stage
from tests.support.eventually import wait_until
from tests.support.processes import Process, free_port

WEBHOOKS = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
HELD = {"finalizers": ["example.com/held"]}

# Each yields the path of the sync that has the reason.
Scenario = Callable[[Stage], AbstractContextManager[str]]
SCENARIOS: dict[Reason, Scenario] = {}


def leads_to(reason: Reason) -> Callable[[Callable[[Stage], Iterator[str]]], None]:
    """Register a scenario that ends with that reason; it cleans up after its `yield`."""

    def register(scenario: Callable[[Stage], Iterator[str]]) -> None:
        SCENARIOS[reason] = contextmanager(scenario)

    return register


def served(stage: Stage) -> tuple[str, str, str]:
    """Create a converged sync and return its namespace, its destination and its path."""
    home, there, _, sync = stage.one_copy()
    stage.ready_becomes(sync, "True", "Synced")
    return home, there, sync


@leads_to(Reason.SYNCED)
def _(stage: Stage) -> Iterator[str]:
    yield served(stage)[2]


@leads_to(Reason.SUSPENDED)
def _(stage: Stage) -> Iterator[str]:
    yield stage.sync(stage.namespace(), destinationNamespaces=["x-*"], suspend=True)


@leads_to(Reason.PROGRESSING)
def _(stage: Stage) -> Iterator[str]:
    _, there, sync = served(stage)
    stage.edit(there, "config", metadata=HELD)
    stage.delete(there, "config")
    yield sync
    stage.edit(there, "config", metadata={"finalizers": None})


@leads_to(Reason.SOURCE_NOT_FOUND)
def _(stage: Stage) -> Iterator[str]:
    yield stage.sync(stage.namespace(), destinationNamespace=stage.namespace())


@leads_to(Reason.NAMESPACE_NOT_FOUND)
def _(stage: Stage) -> Iterator[str]:
    home = stage.namespace()
    stage.source(home)
    yield stage.sync(home, destinationNamespace="there-is-none")


@leads_to(Reason.NAMESPACE_TERMINATING)
def _(stage: Stage) -> Iterator[str]:
    _, there, sync = served(stage)
    stage.put_configmap(there, "held")
    stage.edit(there, "held", metadata=HELD)
    stage.cluster.delete(f"/api/v1/namespaces/{there}")
    yield sync
    stage.edit(there, "held", metadata={"finalizers": None})


@leads_to(Reason.NAMESPACE_DISABLED)
def _(stage: Stage) -> Iterator[str]:
    home = stage.namespace()
    stage.source(home)
    yield stage.sync(
        home, destinationNamespace=stage.namespace(labels={"apps.nishaf.info/sync": "disabled"})
    )


@leads_to(Reason.DESTINATION_CONFLICT)
def _(stage: Stage) -> Iterator[str]:
    home, taken = stage.namespace(), stage.namespace()
    stage.source(home)
    stage.put_configmap(taken, "config", data={"owner": "another"})
    yield stage.sync(home, destinationNamespace=taken)


@leads_to(Reason.DESTINATION_CONTESTED)
def _(stage: Stage) -> Iterator[str]:
    _, there, older = served(stage)
    home = stage.namespace()
    stage.source(home)
    yield stage.younger_sync(older, home, destinationNamespace=there)


@leads_to(Reason.CONTESTED)
def _(stage: Stage) -> Iterator[str]:
    _, there, sync = served(stage)
    with resetting(stage, there, {"from": "git"}, "argocd-controller"):
        yield sync


@leads_to(Reason.LOOP_DETECTED)
def _(stage: Stage) -> Iterator[str]:
    home, there, older = served(stage)
    yield stage.younger_sync(older, there, destinationNamespace=home)


@leads_to(Reason.NOT_AUTHORIZED)
def _(stage: Stage) -> Iterator[str]:
    home = stage.namespace()
    stage.source(home)
    stage.service_account(home, "has-no-rights")
    yield stage.sync(
        home, destinationNamespace=stage.namespace(), serviceAccountName="has-no-rights"
    )


@leads_to(Reason.TOO_LARGE)
def _(stage: Stage) -> Iterator[str]:
    home = stage.namespace()
    stage.source(home)
    stage.edit(home, "config", metadata={"annotations": {"notes": "x" * 262_000}})
    yield stage.sync(
        home, destinationNamespace=stage.namespace(), copyMetadata={"annotations": ["notes"]}
    )


@leads_to(Reason.WRITE_FAILED)
def _(stage: Stage) -> Iterator[str]:
    home, there = stage.namespace(), stage.namespace(labels={"refuses": stage.tag})
    stage.source(home)
    name = f"refuses-{stage.tag}"
    rules = [
        {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"], "operations": ["*"]}
    ]
    webhook = {
        "name": "missing.example.com",
        "clientConfig": {"url": "https://127.0.0.1:1/no-answer"},
        "rules": rules,
        "namespaceSelector": {"matchLabels": {"refuses": stage.tag}},
        "failurePolicy": "Fail",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "timeoutSeconds": 1,
    }
    kind = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
    }
    stage.cluster.create(WEBHOOKS, {**kind, "metadata": {"name": name}, "webhooks": [webhook]})
    try:
        trial = f"/api/v1/namespaces/{there}/configmaps?dryRun=All"
        wait_until(lambda: stage.cluster.request("POST", trial, SMALL).status != 201)
        yield stage.sync(home, destinationNamespace=there)
    finally:
        stage.cluster.delete(f"{WEBHOOKS}/{name}")


@leads_to(Reason.INVALID_SPEC)
def _(stage: Stage) -> Iterator[str]:
    home = stage.namespace()
    yield stage.sync(home, destinationNamespace=home, metadata={"labels": {"-no label-": "x"}})


SMALL = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "small"}}


def test_every_reason_has_a_scenario() -> None:
    assert set(SCENARIOS) == set(Reason)


@pytest.mark.parametrize("reason", Reason)
def test_condition_event_metric_and_log_line_use_the_same_reason(
    stage: Stage, start_reconciler: Callable[..., Process], reason: Reason
) -> None:
    port = free_port()
    reconciler = start_reconciler(port=port)

    with SCENARIOS[reason](stage) as sync:
        wait_until(lambda: stage.condition(sync).get("reason") == reason, 20)
        namespace, name = sync.split("/")[-3::2]

        wait_until(lambda: reason in events_about(stage, namespace, name))
        assert reason in words_logged(reconciler, f"{namespace}/{name}")
        scraped = scrape(port)
        assert scraped.value("configmapsync_syncs", reason=reason) >= 1
        assert bool(scraped.value("configmapsync_failures", reason=reason)) == (
            reason.state is State.FAILED
        )


def events_about(stage: Stage, namespace: str, name: str) -> set[str]:
    """Return the reasons of all events on a sync."""
    events = stage.cluster.get(f"/api/v1/namespaces/{namespace}/events")["items"]
    return {event["reason"] for event in events if event["involvedObject"].get("name") == name}


def words_logged(reconciler: Process, sync: str) -> set[str]:
    """Return the reasons of a sync's log lines."""
    lines = [json.loads(line) for line in reconciler.output().splitlines() if line.endswith("}")]
    return {
        line["reason"]
        for line in lines
        if line["event"] == "status changed" and line["sync"] == sync
    }
