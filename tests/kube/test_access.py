"""Access reviews are few, and one subject's answer never counts for another."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Self

import pytest

from kube.access import CACHE_LIMIT, MAX_IN_FLIGHT, MAX_REFUSALS, AccessReviews
from kube.client import SUBJECT_ACCESS_REVIEWS, Client
from kube.errors import ApiError, Forbidden, Malformed, ServerError

pytestmark = pytest.mark.looptime(start=0)
REMEMBERED_FOR = 10.0


@dataclass(frozen=True)
class Subject:
    """A user."""

    username: str = "alice"
    uid: str = ""
    groups: tuple[str, ...] = ("system:authenticated",)
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def review_fields(self) -> dict[str, object]:
        extra = dict(self.extra)
        return {"user": self.username, "uid": self.uid, "groups": self.groups, "extra": extra}


@dataclass(frozen=True)
class Right:
    """One verb on one object."""

    verb: str = "get"
    namespace: str = "web"
    name: str = "config"
    group: str = ""
    resource: str = "configmaps"
    subresource: str = ""

    @property
    def broad(self) -> Self:
        return replace(self, namespace="", name="")


@dataclass
class Authorizer:
    """Stands where a `Connection` is, in front of an API server whose rules are a function."""

    allows: Callable[[dict[str, Any]], bool] = lambda _spec: True
    fails: ApiError | None = None
    answer: bytes | None = None
    asked: list[dict[str, Any]] = field(default_factory=list)

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: bytes,
        timeout: float,  # noqa: ASYNC109 - as in Connection
        **_options: Any,
    ) -> bytes:
        assert (method, path) == ("POST", SUBJECT_ACCESS_REVIEWS.path())
        assert timeout <= 5, "an admission request waits for it"
        document = json.loads(body)
        assert (document["apiVersion"], document["kind"]) == (
            "authorization.k8s.io/v1",
            "SubjectAccessReview",
        )
        self.asked.append(document["spec"])
        await asyncio.sleep(0.01)
        if self.fails is not None:
            raise self.fails
        return (
            self.answer
            or json.dumps(
                {**document, "status": {"allowed": self.allows(document["spec"])}}
            ).encode()
        )


class Desk:
    """Reviews and what is behind them."""

    def __init__(self) -> None:
        self.authorizer = Authorizer()
        self.told: list[bool] = []
        self.reviews: AccessReviews[Right] = AccessReviews(
            Client(self.authorizer),  # type: ignore[arg-type]
            asyncio.get_running_loop().time,
            self.told.append,
            REMEMBERED_FOR,
        )

    async def may(self, *rights: Right, subject: Subject | None = None) -> set[Right]:
        return await self.reviews.may(subject or Subject(), rights)

    async def check(self, *rights: Right) -> set[Right]:
        answers = await self.reviews.check(Subject(), rights)
        return set(rights) - set(answers.refused) if answers.complete else set()

    def questions(self) -> list[tuple[str, str, str]]:
        """Verb, namespace and name of everything asked so far, which is then forgotten."""
        attributes = [spec["resourceAttributes"] for spec in self.authorizer.asked]
        self.authorizer.asked.clear()
        return [(each["verb"], each["namespace"], each["name"]) for each in attributes]


@pytest.fixture
async def desk() -> Desk:
    return Desk()


async def test_everything_about_the_subject_and_the_right_is_in_the_question(desk: Desk) -> None:
    subject = Subject("system:serviceaccount:a:b", "u-1", ("g1", "g2"), (("scopes", ("x", "y")),))

    await desk.may(
        Right("update", "web", "config", "apps.nishaf.info", "configmapsyncs"), subject=subject
    )

    assert desk.authorizer.asked == [
        {
            "user": "system:serviceaccount:a:b",
            "uid": "u-1",
            "groups": ["g1", "g2"],
            "extra": {"scopes": ["x", "y"]},
            "resourceAttributes": {
                "verb": "update",
                "group": "apps.nishaf.info",
                "version": "v1",
                "resource": "configmapsyncs",
                "subresource": "",
                "namespace": "web",
                "name": "config",
            },
        }
    ]


async def test_each_right_is_judged_by_itself_and_all_at_once(desk: Desk) -> None:
    desk.authorizer.allows = lambda spec: spec["resourceAttributes"]["verb"] == "get"
    rights = [Right(verb) for verb in ("get", "create", "update", "delete")]
    began = asyncio.get_running_loop().time()

    assert await desk.may(*rights) == {Right("get")}

    assert asyncio.get_running_loop().time() - began < 0.02
    assert sorted(desk.told) == [False, False, False, True]


async def test_the_same_thing_is_asked_once(desk: Desk) -> None:
    assert await desk.may(Right(), Right()) == {Right()}
    assert len(desk.questions()) == 1


async def test_a_yes_is_believed_for_as_long_as_was_said(desk: Desk) -> None:
    await desk.may(Right())
    desk.questions()
    desk.authorizer.allows = lambda _: False

    await asyncio.sleep(REMEMBERED_FOR - 0.1)
    assert await desk.may(Right()) == {Right()}
    assert desk.questions() == []
    await asyncio.sleep(0.1)
    assert await desk.may(Right()) == set()
    assert len(desk.questions()) == 1


async def test_a_right_that_is_given_works_at_once(desk: Desk) -> None:
    desk.authorizer.allows = lambda _: False
    assert await desk.may(Right()) == set()
    desk.authorizer.allows = lambda _: True

    assert await desk.may(Right()) == {Right()}


@pytest.mark.parametrize(
    "other",
    [
        Subject("bob"),
        Subject(uid="1"),
        Subject(groups=("system:masters",)),
        Subject(extra=(("scopes", ("all",)),)),
    ],
)
async def test_what_one_may_is_not_believed_of_another(desk: Desk, other: Subject) -> None:
    assert await desk.may(Right()) == {Right()}
    desk.authorizer.allows = lambda _: False

    assert await desk.may(Right(), subject=other) == set()


@pytest.mark.parametrize(
    "other",
    [
        Right("list"),
        Right(namespace="shop"),
        Right(name="other"),
        Right(group="apps"),
        Right(resource="secrets"),
    ],
)
async def test_a_right_that_is_had_is_not_another(desk: Desk, other: Right) -> None:
    assert await desk.may(Right()) == {Right()}
    desk.authorizer.allows = lambda _: False

    assert await desk.may(other) == set()


async def test_who_may_everywhere_is_asked_about_no_namespace(desk: Desk) -> None:
    rights = [
        Right(verb, f"team-{number}") for verb in ("create", "update") for number in range(100)
    ]

    assert await desk.check(*rights) == set(rights)

    assert sorted(desk.questions()) == [("create", "", ""), ("update", "", "")]


async def test_who_may_not_everywhere_is_asked_about_each_namespace(desk: Desk) -> None:
    desk.authorizer.allows = lambda spec: spec["resourceAttributes"]["namespace"] == "web"

    assert await desk.check(Right(), Right(namespace="shop")) == {Right()}
    assert sorted(desk.questions()) == [
        ("get", "", ""),
        ("get", "shop", "config"),
        ("get", "web", "config"),
    ]
    await desk.check(Right(), Right(namespace="shop"))

    assert desk.questions() == [("get", "shop", "config")], (
        "the broad no is remembered, for it refuses nobody"
    )


async def test_a_right_everywhere_that_is_wanted_itself_is_asked_once(desk: Desk) -> None:
    desk.authorizer.allows = lambda spec: spec["resourceAttributes"]["namespace"] == "web"
    wide = Right(namespace="", name="")

    assert await desk.check(wide, Right()) == {Right()}

    assert sorted(desk.questions()) == [("get", "", ""), ("get", "web", "config")]


async def test_what_was_remembered_of_a_broad_no_does_not_refuse_who_asks_for_just_that(
    desk: Desk,
) -> None:
    desk.authorizer.allows = lambda _: False
    await desk.check(Right())
    desk.authorizer.allows = lambda _: True

    assert await desk.may(Right().broad) == {Right().broad}


@pytest.mark.parametrize(
    "error", [ServerError("down", status=500), Forbidden("not you", status=403)]
)
async def test_no_answer_is_neither_yes_nor_no_and_is_not_remembered(
    desk: Desk, error: ApiError
) -> None:
    desk.authorizer.fails = error
    for ask in (desk.may, desk.check):
        with pytest.raises(type(error)):
            await ask(Right(), Right("list"))
    assert desk.told == []
    desk.authorizer.fails = None

    assert await desk.may(Right()) == {Right()}


@pytest.mark.parametrize("answer", [b" ", b"<html>", b"[]", b'{"status": {"allowed": "yes"}}'])
async def test_an_answer_that_nobody_can_read_is_an_error_of_the_api_server(
    desk: Desk, answer: bytes
) -> None:
    desk.authorizer.answer = answer

    with pytest.raises(Malformed):
        await desk.may(Right())


@pytest.mark.parametrize(
    "answer", [b"{}", b'{"status": {}}', b'{"status": {"allowed": false, "denied": true}}']
)
async def test_what_does_not_say_yes_is_a_no(desk: Desk, answer: bytes) -> None:
    desk.authorizer.answer = answer

    assert await desk.may(Right()) == set()


async def test_the_memory_has_an_end(desk: Desk) -> None:
    for first in range(0, CACHE_LIMIT + 1000, 1000):
        await desk.may(*(Right(name=str(number)) for number in range(first, first + 1000)))

        assert len(desk.reviews._cache) <= CACHE_LIMIT


async def test_a_check_of_a_subject_without_rights_ends_after_the_first_refusals(
    desk: Desk,
) -> None:
    desk.authorizer.allows = lambda _: False
    rights = [
        Right(verb, f"team-{number}")
        for number in range(512)
        for verb in ("create", "update", "delete")
    ]

    answers = await desk.reviews.check(Subject(), rights)

    assert not answers.complete
    assert answers.refused == rights[: len(answers.refused)]
    assert MAX_REFUSALS <= len(answers.refused) < MAX_REFUSALS + MAX_IN_FLIGHT
    assert len(desk.authorizer.asked) == 3 + len(answers.refused)


async def test_a_check_finds_refusals_that_are_far_apart(desk: Desk) -> None:
    desk.authorizer.allows = lambda spec: (
        spec["resourceAttributes"]["namespace"] not in {"", "team-3", "team-300"}
    )
    rights = [Right("update", f"team-{number}") for number in range(400)]

    answers = await desk.reviews.check(Subject(), rights)

    assert answers.complete
    assert answers.refused == [rights[3], rights[300]]


async def test_a_bounded_number_of_questions_is_under_way(desk: Desk) -> None:
    desk.authorizer.allows = lambda spec: spec["resourceAttributes"]["namespace"] != ""
    under_way, most = 0, 0
    ask = desk.authorizer.request

    async def counted(*args: Any, **options: Any) -> bytes:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        try:
            return await ask(*args, **options)
        finally:
            under_way -= 1

    desk.authorizer.request = counted  # type: ignore[method-assign]
    rights = [Right("update", f"team-{number}") for number in range(100)]
    slots = asyncio.Semaphore(MAX_IN_FLIGHT)

    await asyncio.gather(
        *(desk.reviews.check(Subject(name), rights, slots) for name in ("alice", "bob", "carol"))
    )

    assert most == MAX_IN_FLIGHT


async def test_a_check_without_an_answer_ends_soon(desk: Desk) -> None:
    desk.authorizer.allows = lambda spec: spec["resourceAttributes"]["namespace"] != ""
    await desk.check(Right("update", "x"))  # the broad refusal is remembered
    desk.authorizer.fails = ServerError("down", status=500)
    desk.questions()

    with pytest.raises(ServerError):
        await desk.check(*(Right("update", f"team-{number}") for number in range(512)))

    assert len(desk.authorizer.asked) <= MAX_IN_FLIGHT
