import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from configmapsync.defaulting import with_defaults
from configmapsync.destination_paths import DestinationPaths, destination_paths
from configmapsync.names import NamespacedName
from configmapsync.parsing import parse
from configmapsync.permissions import Right, right_to_see, rights_needed
from configmapsync.resource import ConfigMapSync
from configmapsync.selection import Selector
from kube.client import Client
from kube.errors import ApiError, NotFound, Unreachable
from tests.webhook import recorded
from webhook.admission_review import User
from webhook.admission_review import parse as parse_review
from webhook.authorization import CACHE_SECONDS, MAX_SHOWN_NAME, Authorizer, Requester, of_user
from webhook.settings import AuthorizationMode

ALICE = User(username="alice", groups=("devs", "system:authenticated"))


def sync(namespace: str = "team", **spec: object) -> ConfigMapSync:
    document = {
        "metadata": {"namespace": namespace, "name": "s"},
        "spec": {"configMapName": "cfg", **spec},
    }
    return with_defaults(parse(document))


def targets(of: ConfigMapSync) -> DestinationPaths:
    return destination_paths(of, Selector.of(of, frozenset()))


@dataclass
class ApiServer:
    """Answers SubjectAccessReviews by a rule, and keeps what it was asked."""

    rule: Callable[[dict[str, str]], bool]
    asked: list[dict[str, object]] = field(default_factory=list)
    failure: ApiError | None = None
    accounts: tuple[str, ...] = ("robot",)
    read: list[str] = field(default_factory=list)

    async def request(
        self, method: str, path: str, *, body: bytes = b"", **_options: object
    ) -> bytes:
        await asyncio.sleep(0)
        if self.failure:
            raise self.failure
        if method == "GET":
            self.read.append(path)
            if path.rpartition("/")[2] not in self.accounts:
                raise NotFound("no such account", status=404)
            return b'{"metadata": {"name": "robot"}}'
        spec = json.loads(body)["spec"]
        self.asked.append(spec)
        return json.dumps({"status": {"allowed": self.rule(spec["resourceAttributes"])}}).encode()


@dataclass
class Clock:
    """The event loop's clock, moved by hand."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def authorizer(
    server: ApiServer,
    clock: Clock | None = None,
    mode: AuthorizationMode = AuthorizationMode.ENFORCE,
) -> Authorizer:
    return Authorizer(Client(server), clock or Clock(), lambda _: None, mode)


def requester(user: User = ALICE) -> Requester:
    return Requester(of_user(user), asyncio.Semaphore(8))


async def denials(server: ApiServer, of: ConfigMapSync, user: User = ALICE) -> list[str]:
    found = await authorizer(server).denials(requester(user), of, rights_needed(of, targets(of)))
    return [f"{denial.path}: {denial.detail}" for denial in found]


def test_a_sync_needs_what_it_will_do_and_no_more():
    of = sync(sourceNamespace="src", destinationNamespace="dst", destinationConfigMapName="copy")
    assert [(need.path, need.rights) for need in rights_needed(of, targets(of))] == [
        ("spec.configMapName", (Right("get", "src", "cfg"),)),
        (
            "spec.destinationNamespace",
            (
                Right("create", "dst"),
                Right("update", "dst", "copy"),
                Right("delete", "dst", "copy"),
            ),
        ),
    ]


@pytest.mark.parametrize(
    "spec", [{"destinationNamespaces": ["*"]}, {"destinationNamespaceSelector": {}}], ids=str
)
def test_globs_and_selectors_need_the_rights_everywhere(spec: dict[str, object]):
    of = sync(**spec)
    assert {right.namespace for right in rights_needed(of, targets(of))[1].rights} == {""}


async def test_every_missing_right_is_reported_at_its_field():
    server = ApiServer(lambda asked: asked["namespace"] == "b" or asked["verb"] == "update")
    of = sync(sourceNamespace="src", destinationNamespaces=["b", "c", "x-*"])
    assert await denials(server, of) == [
        'spec.configMapName: user "alice" may not get the ConfigMap "cfg" in namespace "src"',
        (
            'spec.destinationNamespaces[1]: user "alice" may not create, delete the ConfigMap '
            '"cfg" in namespace "c"'
        ),
        (
            'spec.destinationNamespaces[2]: user "alice" may not create, delete the ConfigMap '
            '"cfg" in every namespace'
        ),
    ]


ACTING = [
    ("impersonate", "serviceaccounts", ""),
    ("create", "serviceaccounts", "token"),
    ("create", "pods", ""),
]


def is_about_acting(asked: dict[str, str]) -> bool:
    return asked["resource"] in {"serviceaccounts", "pods"}


async def test_a_named_service_account_is_checked_in_place_of_the_user():
    server = ApiServer(lambda asked: asked["verb"] != "get")
    of = sync(destinationNamespace="dst", serviceAccountName="robot")
    assert await denials(server, of) == [
        (
            'spec.configMapName: service account "team/robot" may not get the ConfigMap "cfg" in '
            'namespace "team"'
        )
    ]
    asked = [spec for spec in server.asked if not is_about_acting(spec["resourceAttributes"])]
    assert {spec["user"] for spec in asked} == {"system:serviceaccount:team:robot"}
    assert asked[0]["groups"] == [
        "system:serviceaccounts",
        "system:serviceaccounts:team",
        "system:authenticated",
    ]


@pytest.mark.parametrize("way", ACTING, ids=str)
async def test_one_way_to_act_as_a_service_account_is_enough_to_name_it(way: tuple[str, str, str]):
    def rule(asked: dict[str, str]) -> bool:
        return (
            not is_about_acting(asked)
            or (asked["verb"], asked["resource"], asked["subresource"]) == way
        )

    assert (
        await denials(ApiServer(rule), sync(destinationNamespace="dst", serviceAccountName="robot"))
        == []
    )


async def test_a_service_account_as_which_the_user_may_not_act_cannot_be_named():
    server = ApiServer(lambda asked: not is_about_acting(asked))
    assert await denials(server, sync(destinationNamespace="dst", serviceAccountName="robot")) == [
        (
            'spec.serviceAccountName: user "alice" may not act as the service account '
            '"team/robot": this needs the right to '
            'impersonate it, to create its tokens, or to create pods in namespace "team"'
        )
    ]
    questions = [
        (asked["verb"], asked["resource"], asked["subresource"])
        for asked in (spec["resourceAttributes"] for spec in server.asked)
    ]
    assert questions == ACTING, "the rights of the account are not asked for"
    assert server.read == [], "whether the account exists is not looked up"


async def test_a_service_account_may_name_itself():
    server = ApiServer(lambda asked: not is_about_acting(asked))
    robot = User(username="system:serviceaccount:team:robot")
    assert (
        await denials(server, sync(destinationNamespace="dst", serviceAccountName="robot"), robot)
        == []
    )


async def test_a_service_account_that_does_not_exist_has_no_rights():
    server = ApiServer(lambda _: True, accounts=())
    assert await denials(server, sync(destinationNamespace="dst", serviceAccountName="robot")) == [
        'spec.serviceAccountName: service account "team/robot" does not exist, and so has no rights'
    ]


async def test_missing_rights_cost_few_access_reviews_for_any_number_of_namespaces():
    server = ApiServer(lambda _: False)
    found = await denials(
        server, sync(destinationNamespaces=[f"n-{number:03}" for number in range(512)])
    )
    assert found[-1] == (
        'spec: the check of the rights of user "alice" ended after 8 denials; more rights '
        "may be missing"
    )
    assert len(found) <= 8
    assert len(server.asked) <= 20


async def test_a_long_user_name_is_cut_in_messages():
    [first, *_] = await denials(
        ApiServer(lambda _: False), sync(destinationNamespace="dst"), User(username="u" * 100_000)
    )
    assert len(first) < MAX_SHOWN_NAME + 200


async def test_the_access_review_repeats_the_user_of_the_request():
    user = parse_review(recorded.body("create-impersonated.json")).user
    sent = recorded.document("create-impersonated.json")["request"]["userInfo"]
    server = ApiServer(lambda _: True)
    assert await denials(server, sync(destinationNamespace="dst"), user) == []
    asked = server.asked[0]
    assert (asked["user"], asked["uid"], asked["groups"]) == (
        sent["username"],
        sent["uid"],
        sent["groups"],
    )
    assert asked["extra"] == sent["extra"]


async def test_cluster_wide_rights_cost_few_access_reviews_for_any_number_of_namespaces():
    server = ApiServer(lambda _: True)
    assert (
        await denials(server, sync(destinationNamespaces=[f"n-{number}" for number in range(100)]))
        == []
    )
    assert {
        (asked["resourceAttributes"]["namespace"], asked["resourceAttributes"]["name"])
        for asked in server.asked
    } == {("", "")}
    assert len(server.asked) == 4


async def test_each_namespace_is_checked_if_the_right_is_not_cluster_wide():
    server = ApiServer(lambda asked: asked["namespace"] not in {"", "n-7"})
    found = await denials(
        server, sync(destinationNamespaces=[f"n-{number}" for number in range(20)])
    )
    assert len(found) == 1
    assert 'namespace "n-7"' in found[0]


async def test_an_allowed_right_is_cached_and_a_denied_one_is_not():
    server, clock = ApiServer(lambda asked: asked["verb"] == "get"), Clock()
    asking = authorizer(server, clock)
    rights = [Right("get", "a", "x"), Right("delete", "a", "x")]
    for _ in range(3):
        assert await asking.may(requester(), rights) == {rights[0]}
    assert [asked["resourceAttributes"]["verb"] for asked in server.asked] == [
        "get",
        "delete",
        "delete",
        "delete",
    ]
    clock.now += CACHE_SECONDS
    await asking.may(requester(), rights)
    assert len(server.asked) == 6


@pytest.mark.parametrize(
    "spec", [{"destinationNamespace": "dst"}, {"destinationNamespaces": ["x-*"]}], ids=str
)
async def test_a_newly_granted_right_counts_at_once(spec: dict[str, object]):
    given: set[str] = set()
    asking, of = (
        authorizer(ApiServer(lambda asked: asked["verb"] in given)),
        sync(**spec, deletionPolicy="Orphan"),
    )
    needs = rights_needed(of, targets(of))
    for verb, missing in (("nothing", 2), ("get", 1), ("create", 1), ("update", 0)):
        given.add(verb)
        assert len(await asking.denials(requester(), of, needs)) == missing


async def test_a_cached_right_counts_for_one_user_only():
    server = ApiServer(lambda _: True)
    asking = authorizer(server)
    for user in (
        ALICE,
        User(username="alice", groups=()),
        User(username="bob"),
        User(username="alice", uid="7"),
    ):
        await asking.may(requester(user), [Right("get", "a", "x")])
    assert len(server.asked) == 4


async def test_no_answer_of_the_api_server_is_an_error():
    server = ApiServer(lambda _: True, failure=Unreachable("no answer in time"))
    with pytest.raises(Unreachable):
        await denials(server, sync(destinationNamespaces=["a", "b", "c"]))


def test_another_sync_is_visible_with_the_right_to_get_it():
    assert right_to_see(NamespacedName("x", "other")) == Right(
        "get", "x", "other", "apps.nishaf.info", "configmapsyncs"
    )
