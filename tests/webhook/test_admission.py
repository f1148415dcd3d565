"""Whole reviews, with a fake API server and a fake cluster state."""

import asyncio
import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest

from configmapsync.admission_checks import AdmissionInput, Snapshot
from configmapsync.names import SYNC_DISABLED_LABEL, SYNC_DISABLED_VALUE, NamespacedName
from configmapsync.permissions import right_to_see
from configmapsync.selection import Namespace
from kube.access import MAX_IN_FLIGHT
from kube.errors import Unreachable
from tests.webhook import recorded
from tests.webhook.test_authorization import ApiServer, authorizer
from webhook.admission import MAX_WARNINGS, Admission
from webhook.admission_review import MalformedReviewError, Review, parse
from webhook.authorization import Authorizer, Requester
from webhook.review_slots import Limits, ReviewSlots
from webhook.settings import AuthorizationMode


@dataclass
class FakeState:
    """A fake cluster state that counts its snapshots."""

    facts: dict[str, Any] = field(default_factory=dict)
    failure: Exception | None = None
    protected: frozenset[str] = frozenset()
    looks: int = 0
    known: dict[str, Namespace] = field(default_factory=dict)

    async def snapshot(
        self, _sync_input: AdmissionInput, authorizer: Authorizer, requester: Requester
    ) -> Snapshot:
        self.looks += 1
        if self.failure:
            raise self.failure
        rights = {right_to_see(other): other for _, other in self.facts.get("contested", ())}
        seen = frozenset(rights[right] for right in await authorizer.may(requester, rights))
        known = {name: Namespace(name) for name in ("team-a", "team-b")} | self.known
        return Snapshot(known, visible=seen, **self.facts)


def review(name: str = "create.json", **spec: object) -> Review:
    document = recorded.document(name)
    document["request"]["object"]["spec"] |= spec
    return parse(json.dumps(document).encode())


async def checked(
    what: Review,
    state: FakeState | None = None,
    server: ApiServer | None = None,
    mode: AuthorizationMode = AuthorizationMode.ENFORCE,
) -> dict[str, Any]:
    admission = Admission(
        state or FakeState(), authorizer(server or ApiServer(lambda _: True), mode=mode)
    )
    answer = await admission.validate(what)
    response = json.loads(answer.body)["response"]
    assert response["uid"] == what.uid
    return response | {"outcome": answer.outcome}


def fields(response: dict[str, Any]) -> list[str]:
    return [cause["field"] for cause in response["status"]["details"]["causes"]]


async def test_a_good_sync_is_accepted():
    assert await checked(review()) == {
        "uid": review().uid,
        "allowed": True,
        "outcome": "allowed",
    }


async def test_every_recorded_review_gets_an_answer():
    for name in recorded.NAMES:
        response = await checked(parse(recorded.body(name)))
        assert response["outcome"] in {"allowed", "refused", "exempt"}


async def test_the_shape_is_checked_before_any_request_is_sent():
    state, server = FakeState(), ApiServer(lambda _: False)
    response = await checked(review(destinationNamespace="!", unheardOf=1), state, server)
    assert response["status"]["code"] == 422
    assert sorted(fields(response)) == ["spec.destinationNamespace", "spec.unheardOf"]
    assert (state.looks, server.asked) == (0, [])


async def test_permission_is_checked_before_any_check_that_reveals_existence():
    state = FakeState({"source_missing": True})
    response = await checked(review(sourceNamespace="nowhere"), state, ApiServer(lambda _: False))
    assert fields(response) == ["spec.configMapName", "spec.destinationNamespace"]
    assert "warnings" not in response
    assert state.looks == 0


async def test_a_user_with_all_rights_receives_the_errors_of_the_cluster_state():
    response = await checked(review(sourceNamespace="nowhere"))
    assert response["status"]["details"]["causes"] == [
        {
            "reason": "FieldValueNotFound",
            "message": 'Not found: "nowhere"',
            "field": "spec.sourceNamespace",
        }
    ]
    assert response["status"]["details"]["name"] == "app-config"


@pytest.mark.parametrize("failure", [Unreachable("gone"), TimeoutError()], ids=str)
async def test_a_review_that_cannot_be_checked_is_denied(failure: Exception):
    response = await checked(review(), FakeState(failure=failure))
    assert (response["allowed"], response["outcome"]) == (False, "undecided")
    assert response["status"]["reason"] == "ServiceUnavailable"
    assert "try again" in response["status"]["message"]


async def test_a_right_without_an_answer_is_denied():
    response = await checked(
        review(), server=ApiServer(lambda _: True, failure=Unreachable("gone"))
    )
    assert (response["allowed"], response["outcome"]) == (False, "undecided")


async def test_mode_warn_makes_a_missing_right_a_warning():
    response = await checked(
        review(), server=ApiServer(lambda _: False), mode=AuthorizationMode.WARN
    )
    assert response["allowed"] is True
    assert len(response["warnings"]) == 2
    assert "may not get" in response["warnings"][0]


async def test_mode_off_sends_no_access_reviews():
    server = ApiServer(lambda _: False)
    assert (await checked(review(), server=server, mode=AuthorizationMode.OFF))["allowed"] is True
    assert server.asked == []


async def test_another_sync_is_named_only_if_the_user_may_get_it():
    contest = {"contested": ((NamespacedName("team-b", "settings"), NamespacedName("x", "other")),)}
    seeing = await checked(review(), FakeState(contest))
    assert "ConfigMapSync x/other" in seeing["status"]["message"]
    blind = ApiServer(lambda asked: asked["resource"] == "configmaps")
    assert (
        "x/other" not in (await checked(review(), FakeState(contest), blind))["status"]["message"]
    )


async def test_an_exempt_review_sends_no_requests():
    state, server = FakeState(failure=Unreachable("gone")), ApiServer(lambda _: False)
    for name in (
        "update-metadata-only.json",
        "update-remove-finalizer-while-deleting.json",
        "update-status.json",
    ):
        assert (await checked(parse(recorded.body(name)), state, server))["outcome"] == "exempt"


async def test_unset_fields_are_patched_once():
    admission = Admission(FakeState(), authorizer(ApiServer(lambda _: True)))
    assert (await admission.mutate(review())).outcome == "patched"
    assert (
        await admission.mutate(parse(recorded.body("update-metadata-only.json")))
    ).outcome == "exempt"


@pytest.mark.parametrize("spec", [[], None, "x"], ids=str)
async def test_a_spec_of_the_wrong_shape_is_denied(spec: object):
    document = recorded.document("create.json")
    document["request"]["object"]["spec"] = spec
    response = await checked(parse(json.dumps(document).encode()))
    assert (response["allowed"], response["status"]["code"]) == (False, 422)


async def test_a_create_without_an_object_is_denied():
    document = recorded.document("create.json")
    document["request"]["object"] = None
    assert (await checked(parse(json.dumps(document).encode())))["allowed"] is False


@pytest.mark.parametrize("metadata", [7, {"name": 7}, {"finalizers": {}}], ids=str)
async def test_unreadable_metadata_is_a_malformed_review(metadata: object):
    document = recorded.document("create.json")
    document["request"]["object"]["metadata"] = metadata
    with pytest.raises(MalformedReviewError):
        await checked(parse(json.dumps(document).encode()))


def edit(before: dict[str, Any], after: dict[str, Any], user: str = "") -> Review:
    document = recorded.document("update-spec.json")
    request = document["request"]
    request["oldObject"]["spec"] |= before
    request["object"]["spec"] = request["oldObject"]["spec"] | after
    request["userInfo"]["username"] = user or request["userInfo"]["username"]
    return parse(json.dumps(document).encode())


NARROWED = (
    {"destinationNamespace": None, "destinationNamespaces": ["team-b", "prod"]},
    {"destinationNamespaces": ["team-b"]},
)


async def test_an_edit_that_drops_a_destination_needs_the_right_to_delete_there():
    server = ApiServer(lambda asked: asked["namespace"] not in {"", "prod"})
    response = await checked(edit(*NARROWED), server=server)
    assert response["allowed"] is False
    [cause] = response["status"]["details"]["causes"]
    assert cause["field"] == "spec.destinationNamespaces"
    assert 'in namespace "prod", from which this change removes it' in cause["message"]
    assert (await checked(edit(*NARROWED)))["allowed"] is True


async def test_an_invalid_previous_spec_still_counts_for_dropped_destinations():
    server = ApiServer(lambda asked: asked["namespace"] not in {"", "prod"})
    before, after = NARROWED[0] | {"keys": [{"key": "a/b"}]}, NARROWED[1] | {"keys": []}
    response = await checked(edit(before, after), server=server)
    assert response["allowed"] is False
    assert 'in namespace "prod", from which this change removes it' in response["status"]["message"]


async def test_a_user_with_too_many_reviews_receives_a_429():
    slots = ReviewSlots(Limits(running_per_user=1, waiting_per_user=0))
    begun = asyncio.Event()

    class SlowServer(ApiServer):
        async def request(self, method: str, path: str, **options: Any) -> bytes:
            if json.loads(options["body"])["spec"]["user"] == "tenant":
                begun.set()
                await asyncio.Event().wait()
            return await super().request(method, path, **options)

    admission = Admission(FakeState(), authorizer(SlowServer(lambda _: True)), slots)
    slow = asyncio.create_task(admission.validate(edit(*NARROWED, user="tenant")))
    await begun.wait()

    answer = await admission.validate(edit(*NARROWED, user="tenant"))
    status = json.loads(answer.body)["response"]["status"]
    assert (answer.outcome, status["code"], status["reason"]) == (
        "throttled",
        429,
        "TooManyRequests",
    )
    assert status["details"] == {"retryAfterSeconds": 1}, (
        "kubectl sends the request again by itself"
    )
    assert (await admission.validate(edit(*NARROWED, user="other"))).outcome == "allowed"
    slow.cancel()


@pytest.mark.looptime(start=0)  # a review that waits for two seconds is refused
async def test_slow_access_reviews_of_one_user_leave_slots_for_other_users():
    under_way: Counter[str] = Counter()
    most: Counter[str] = Counter()

    class SlowServer(ApiServer):
        async def request(self, method: str, path: str, **options: Any) -> bytes:
            user = json.loads(options["body"])["spec"]["user"]
            under_way[user] += 1
            most[user] = max(most[user], under_way[user])
            try:
                if user == "tenant":
                    await asyncio.Event().wait()
                return await super().request(method, path, **options)
            finally:
                under_way[user] -= 1

    many = {
        "destinationNamespace": None,
        "destinationNamespaces": [f"n-{number}" for number in range(400)],
    }
    admission = Admission(FakeState(), authorizer(SlowServer(lambda _: True)))
    slow = [
        asyncio.create_task(admission.validate(edit(NARROWED[0], many, user="tenant")))
        for _ in range(200)
    ]
    await asyncio.sleep(0.1)

    outcomes = [
        (await admission.validate(edit(*NARROWED, user=f"other-{number % 7}"))).outcome
        for number in range(40)
    ]

    assert outcomes == ["allowed"] * 40
    assert most["tenant"] == MAX_IN_FLIGHT
    refused = [task.result().outcome for task in slow if task.done()]
    assert refused == ["throttled"] * (200 - Limits().running_per_user - Limits().waiting_per_user)
    for task in slow:
        task.cancel()


async def test_warnings_are_bounded():
    named = [f"n-{number}" for number in range(300)]
    state = FakeState()
    state.known = {
        name: Namespace(name, {SYNC_DISABLED_LABEL: SYNC_DISABLED_VALUE}) for name in named
    }
    response = await checked(review(destinationNamespace=None, destinationNamespaces=named), state)
    assert response["allowed"] is True
    assert len(response["warnings"]) == MAX_WARNINGS + 1
    assert response["warnings"][-1] == f"and {300 - MAX_WARNINGS} more warnings"
