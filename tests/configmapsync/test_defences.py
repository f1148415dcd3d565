"""Check that marks of other clients and the order of events never stop a sync."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configmapsync.conditions import Report, status
from configmapsync.names import APPLIED_METADATA
from configmapsync.reasons import Outcome, Reason
from configmapsync.rendering import copy_template, is_up_to_date, render
from configmapsync.status import MOST_LISTED_FAILURES
from configmapsync.validation import doubtful_metadata
from tests.configmapsync.objects import read_status, record, report, source, stored_status, sync

NOW = datetime(2026, 1, 1, microsecond=123456, tzinfo=UTC)
LATER = NOW + timedelta(days=1)

outcomes = st.lists(
    st.builds(
        Outcome,
        st.sampled_from("abcd"),
        st.sampled_from(Reason),
        st.sampled_from(("", "why", "x" * 3000)),
    ),
    max_size=30,
).map(tuple)
reports = st.builds(
    report,
    generation=st.none() | st.just(3),
    previous=st.none(),
    source=st.none() | st.just(source({"k": "v"})),
    digest=st.none() | st.just("sha256:1"),
    outcomes=outcomes,
    leftovers=outcomes,
    verdict=st.none()
    | st.builds(Outcome, st.just(""), st.sampled_from(Reason), st.just("so it is")),
    wrote=st.booleans(),
)


@settings(max_examples=120, deadline=None)
@given(reports)
def test_a_status_read_back_from_the_api_server_is_not_written_again(report: Report) -> None:
    once = status(report, NOW)
    stored = read_status(stored_status(once))

    assert status(replace(report, previous=stored, wrote=False), LATER) == once


@settings(max_examples=120, deadline=None)
@given(reports, st.integers(0, 1000))
def test_the_status_does_not_depend_on_the_order_of_destinations(report: Report, seed: int) -> None:
    rng = Random(seed)  # noqa: S311 - no secret depends on it
    shuffled = replace(
        report,
        outcomes=tuple(rng.sample(report.outcomes, len(report.outcomes))),
        leftovers=tuple(rng.sample(report.leftovers, len(report.leftovers))),
    )

    assert status(shuffled, NOW) == status(report, NOW)


@settings(max_examples=120, deadline=None)
@given(reports)
def test_a_status_is_bounded_and_has_one_meaning_for_kstatus(report: Report) -> None:
    made = status(report, NOW)
    content_hash = {condition.type: condition.status for condition in made.conditions}

    assert len(made.failures) <= MOST_LISTED_FAILURES
    assert max(len(text) for text in _messages(made.conditions, made.failures)) <= 1024
    assert set(content_hash) == {"Ready", "Reconciling", "Stalled"}
    assert list(content_hash.values()).count("True") <= 1


def _messages(*parts: tuple[object, ...]) -> list[str]:
    return [getattr(item, "message", "") for part in parts for item in part]


@pytest.mark.parametrize(
    "mark",
    ["", "{", "null", "7", '{"labels": [["team"]]}', '{"labels": {"x": 1}}', "[" * 100_000],
    ids=lambda mark: mark[:24],
)
def test_no_forged_mark_stops_the_repair_of_a_copy(mark: str) -> None:
    live = record({"theirs": "1"}, {APPLIED_METADATA: mark})

    rendered = render(copy_template(sync(), source()), "there", live)

    assert rendered["metadata"]["labels"]["theirs"] == "1"
    assert APPLIED_METADATA not in rendered["metadata"]["annotations"]


def test_an_applied_value_that_another_client_changed_is_restored() -> None:
    wanted = copy_template(
        sync(metadata={"labels": {"team": "web"}, "annotations": {"note": "a"}}), source()
    )
    ours = render(wanted, "there", None)["metadata"]
    drifted = record(ours["labels"] | {"team": "theirs"}, ours["annotations"] | {"note": "b"})

    repaired = render(wanted, "there", drifted)["metadata"]

    assert not is_up_to_date(drifted, wanted)
    assert (repaired["labels"], repaired["annotations"]) == (ours["labels"], ours["annotations"])


TRACKING_KEYS = (
    "kubectl.kubernetes.io/last-applied-configuration",
    "app.kubernetes.io/instance",
    "app.kubernetes.io/name",
    "applyset.kubernetes.io/part-of",
    "addonmanager.kubernetes.io/mode",
    "config.k8s.io/owning-inventory",
    "argocd.argoproj.io/tracking-id",
    "kustomize.toolkit.fluxcd.io/name",
    "helm.toolkit.fluxcd.io/name",
    "meta.helm.sh/release-name",
    "helm.sh/chart",
    "kapp.k14s.io/app",
    "kapp.k14s.io/identity",
    "objectset.rio.cattle.io/hash",
    "fleet.cattle.io/bundle-id",
    "internal.kpt.dev/upstream-identifier",
    "configsync.gke.io/resource-id",
    "configmanagement.gke.io/managed",
    "olm.owner",
    "olm.managed",
    "operators.coreos.com/operator.x",
    "reflector.v1.k8s.emberstack.com/reflection-auto-enabled",
    "replicator.v1.mittwald.de/replicate-to",
    "kubed.appscode.com/sync",
    "clustersecret.io/created-by",
    "clustersecret.io",
    "hnc.x-k8s.io/inherited-from",
    "generate.kyverno.io/clone-source",
    "trust.cert-manager.io/hash",
    "secretgen.carvel.dev/status",
)
OWN_KEYS = ("apps.nishaf.info/synced-by", "apps.nishaf.info/sync", "app.kubernetes.io/managed-by")
HARMLESS_KEYS = (
    "grafana_dashboard",
    "team",
    "example.com/owner",
    "olmo",
    "notk8s.io/x",
    "io/x",
    "helm.sh.example.com/x",
)


def taken_over(key: str, *allowed: str) -> bool:
    wanted: dict[str, Any] = {"labels": list(allowed), "annotations": list(allowed)}
    made = copy_template(
        sync(copyMetadata=wanted), source(labels={key: "x"}, annotations={key: "x"})
    )
    assert (made.labels.get(key) == "x") == (made.annotations.get(key) == "x")
    return made.labels.get(key) == "x"


@pytest.mark.parametrize("key", TRACKING_KEYS)
def test_a_tracking_key_is_copied_only_by_its_exact_name_and_with_a_warning(
    key: str,
) -> None:
    domain = key.partition("/")[0]

    assert not taken_over(key, "*", f"{domain}*", f"*{key[-3:]}", f"{key[:-1]}?")
    assert taken_over(key, key)
    assert any(
        "is in a reserved domain" in warning
        for warning in doubtful_metadata(sync(copyMetadata={"labels": [key]}))
    )


@pytest.mark.parametrize("key", OWN_KEYS)
def test_a_key_of_this_operator_is_never_copied(key: str) -> None:
    assert not taken_over(key, key, "*")
    assert any(
        "is never copied" in warning
        for warning in doubtful_metadata(sync(copyMetadata={"annotations": [key]}))
    )


@pytest.mark.parametrize("key", HARMLESS_KEYS)
def test_any_other_key_is_copied_by_a_glob(key: str) -> None:
    assert taken_over(key, "*")
    assert list(doubtful_metadata(sync(copyMetadata={"labels": [key, "*"]}))) == []


def test_a_time_in_another_zone_is_the_same_moment_and_one_without_a_zone_is_no_time() -> None:
    elsewhere = read_status({"lastSyncTime": "2026-01-01T14:00:00+02:00"})

    assert elsewhere is not None
    assert stored_status(elsewhere)["lastSyncTime"] == "2026-01-01T12:00:00Z"
    assert read_status({"lastSyncTime": "2026-01-01T14:00:00"}) is None
