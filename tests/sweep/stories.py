"""Define the stories of the sweep: what users do to a cluster that has settled.

A story is a set-up and some actions. `run.py` plays it with every fault; the end of a
story must be the same whatever happened on the way.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.randomized.expected import Key
from tests.randomized.simulation import CONFIGMAPS, NAMESPACES, SYNCS

if TYPE_CHECKING:
    from tests.sweep.run import SweepRun

ONE = ("home", "one")
SOURCE = ("home", "config")
WEB, TEAM_A = ("web", "config"), ("team-a", "config")
FIRST, SECOND = {"a": "1", "b": "2"}, {"a": "3", "c": "4"}
RBAC = "rbac.authorization.k8s.io"
LEASE_SECONDS = 20.0  # the lease duration, and the retries of the other candidate
AUTHORIZATION_SECONDS = 61.0
ORPHAN_SECONDS = 670.0  # the grace period, and the longest time between two checks
QUIET_SECONDS = 700.0


def _nothing(_run: "SweepRun") -> None:
    """Do nothing."""


def _expected(run: "SweepRun") -> Iterator[str]:
    return run.expected.problems()


@dataclass(frozen=True)
class Story:
    """What happens in one run.

    Attributes:
        name: of the story.
        act: the actions of users, whose consequences are disturbed.
        set_up: what is there before.
        problems: yields what is wrong at the end.
        promised: copies that exist before and after, and may not be missing in between.
        may_delete: whether an action asks for the deletion of promised copies, which a later one
            takes back. A late watch may show only the first for a while.
        replaced: copies of which one exists at any time: the old one, or the new one.
        settles_in: seconds that the story takes without a fault.
        patience: seconds that the story adds to the repair of a fault.
        recorded: seconds for which requests are counted, beyond the first five.
        startup: seconds until the set-up has settled, beyond the usual ones.
        quiet: seconds without a write at the end.
        replicas: how many reconcilers run.
    """

    name: str
    act: Callable[["SweepRun"], None]
    set_up: Callable[["SweepRun"], None] = _nothing
    problems: Callable[["SweepRun"], Iterator[str]] = _expected
    promised: tuple[Key, ...] = ()
    may_delete: bool = False
    replaced: tuple[tuple[Key, Key], ...] = ()
    settles_in: float = 0.0
    patience: float = 0.0
    recorded: float = 0.0
    startup: float = 0.0
    quiet: float = QUIET_SECONDS
    replicas: int = 1


def _two_copies(run: "SweepRun") -> None:
    run.sync(ONE, destinationNamespaces=["web", "team-a"])


def _adopting(run: "SweepRun") -> None:
    run.configmap(WEB, {"a": "theirs"})
    run.sync(ONE, destinationNamespaces=["web", "team-a"], conflictPolicy="Adopt")


def _orphaning(run: "SweepRun") -> None:
    run.sync(ONE, destinationNamespaces=["web", "team-a"], deletionPolicy="Orphan")


def _immutable(run: "SweepRun") -> None:
    run.configmap(("home", "fixed"), FIRST, immutable=True)
    run.sync(ONE, configMapName="fixed", destinationNamespaces=["web", "team-a"])


def _blocked(run: "SweepRun") -> None:
    run.configmap(WEB, {"a": "theirs"})
    run.sync(ONE, destinationNamespaces=["web", "team-a"])


def _withdrawing(run: "SweepRun") -> None:
    run.sync(ONE, destinationNamespaces=["web", "team-a"], sourceDeletionPolicy="Delete")


def _selecting(run: "SweepRun") -> None:
    run.sync(ONE, destinationNamespaceSelector={"matchLabels": {"tier": "front"}})


def _restart(run: "SweepRun") -> None:
    run.configmap(SOURCE, SECOND)
    run.remove(CONFIGMAPS, TEAM_A)
    run.kill()


def _edit(run: "SweepRun") -> None:
    run.configmap(SOURCE, SECOND)


def _edit_twice(run: "SweepRun") -> None:
    run.configmap(SOURCE, {"a": "passing"})
    run.pass_time(0.004)
    run.configmap(SOURCE, SECOND)


def _fan_out(run: "SweepRun") -> None:
    run.sync(ONE, destinationNamespaces=["*"])
    run.pass_time(0.03)
    run.namespace("team-c", {"tier": "front"})


def _drift(run: "SweepRun") -> None:
    run.patch(CONFIGMAPS, WEB, {"data": {"a": "theirs"}})
    run.remove(CONFIGMAPS, TEAM_A)


def _rename(run: "SweepRun") -> None:
    run.edit_sync(ONE, destinationConfigMapName="renamed")


def _select_others(run: "SweepRun") -> None:
    run.edit_sync(ONE, destinationNamespaces=["team-a", "team-b"])


def _relabel(run: "SweepRun") -> None:
    run.accepted(run.patch(NAMESPACES, ("", "team-a"), {"metadata": {"labels": {"tier": None}}}))
    run.accepted(run.patch(NAMESPACES, ("", "team-b"), {"metadata": {"labels": {"tier": "front"}}}))


def _replace_immutable(run: "SweepRun") -> None:
    run.remove(CONFIGMAPS, ("home", "fixed"))
    run.configmap(("home", "fixed"), SECOND, immutable=True)


def _delete(run: "SweepRun") -> None:
    run.remove(SYNCS, ONE)


def _create_and_delete(run: "SweepRun") -> None:
    _two_copies(run)
    run.pass_time(0.2)  # a create that meets a fault is still in flight
    run.remove(SYNCS, ONE)


def _recreate_sync(run: "SweepRun") -> None:
    run.remove(SYNCS, ONE)
    run.patch(SYNCS, ONE, {"metadata": {"finalizers": None}})
    _two_copies(run)


def _remove_by_force(run: "SweepRun") -> None:
    run.remove(SYNCS, ONE)
    run.patch(SYNCS, ONE, {"metadata": {"finalizers": None}})


def _recreate_source(run: "SweepRun") -> None:
    run.remove(CONFIGMAPS, SOURCE)
    run.pass_time(0.5)
    run.configmap(SOURCE, SECOND)


def _recreate_source_at_once(run: "SweepRun") -> None:
    run.remove(CONFIGMAPS, SOURCE)
    run.configmap(SOURCE, SECOND)


def _delete_source(run: "SweepRun") -> None:
    run.remove(CONFIGMAPS, SOURCE)


def _recreate_namespace(run: "SweepRun") -> None:
    run.remove(NAMESPACES, ("", "web"))
    run.pass_time(0.02)
    run.empty_namespaces()
    run.namespace("web", {"tier": "front"})


def _recreate_namespace_twice(run: "SweepRun") -> None:
    for _ in range(2):
        _recreate_namespace(run)
        run.pass_time(1.0)


def _recreated_namespace(run: "SweepRun") -> None:
    _two_copies(run)
    run.pass_time(1.0)
    for _ in range(2):
        _recreate_namespace_twice(run)


def _delete_namespace(run: "SweepRun") -> None:
    run.remove(NAMESPACES, ("", "web"))
    run.pass_time(0.02)
    run.empty_namespaces()


def _clear_the_way(run: "SweepRun") -> None:
    run.remove(CONFIGMAPS, WEB)


def _change_and_kill(run: "SweepRun") -> None:
    run.configmap(SOURCE, SECOND)
    run.pass_time(0.003)
    run.kill()


def _change_and_stop(run: "SweepRun") -> None:
    run.configmap(SOURCE, SECOND)
    run.pass_time(0.003)
    run.stop()


ROLE = {
    "apiVersion": f"{RBAC}/v1",
    "kind": "ClusterRole",
    "metadata": {"name": "syncer"},
    "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["*"]}],
}
BINDING = {
    "apiVersion": f"{RBAC}/v1",
    "kind": "ClusterRoleBinding",
    "metadata": {"name": "syncer"},
    "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": "syncer"},
    "subjects": [{"kind": "ServiceAccount", "namespace": "home", "name": "syncer"}],
}
ACCOUNT = {
    "apiVersion": "v1",
    "kind": "ServiceAccount",
    "metadata": {"namespace": "home", "name": "syncer"},
}


def _with_an_account(run: "SweepRun") -> None:
    run.create(("", "serviceaccounts"), ACCOUNT)
    run.create((RBAC, "clusterroles"), ROLE)
    run.create((RBAC, "clusterrolebindings"), BINDING)
    run.sync(ONE, destinationNamespaces=["web"], serviceAccountName="syncer")


def _revoke(run: "SweepRun") -> None:
    run.remove((RBAC, "clusterroles"), ("", "syncer"))
    run.pass_time(AUTHORIZATION_SECONDS)


def _revoke_for_a_while(run: "SweepRun") -> None:
    _revoke(run)
    run.create((RBAC, "clusterroles"), ROLE)
    run.pass_time(AUTHORIZATION_SECONDS)


def _withdrawn(run: "SweepRun") -> Iterator[str]:
    """Yield what is wrong after the account lost its rights."""
    left = {WEB, TEAM_A} & set(run.copies())
    if left:
        yield f"the copies {sorted(left)} are left although the account has no rights"
    sync = run.expected.sync_at(ONE)
    ready = sync.document["status"]["conditions"] if sync else []
    if not any(each["reason"] == "NotAuthorized" for each in ready):
        yield f"the status does not say NotAuthorized: {ready}"


BOTH = (WEB, TEAM_A)
STORIES = (
    Story("create", _two_copies),
    Story("edit", _edit, _two_copies, promised=BOTH),
    Story("edit-twice", _edit_twice, _two_copies, promised=BOTH),
    Story("fan-out", _fan_out),
    Story("drift", _drift, _two_copies, promised=BOTH),
    Story("restart", _restart, _two_copies, promised=BOTH),
    Story(
        "rename",
        _rename,
        _two_copies,
        replaced=((WEB, ("web", "renamed")), (TEAM_A, ("team-a", "renamed"))),
    ),
    Story("selection", _select_others, _two_copies, promised=(TEAM_A,)),
    Story("relabel", _relabel, _selecting, promised=(WEB,)),
    Story(
        "immutable",
        _replace_immutable,
        _immutable,
        promised=(("web", "fixed"), ("team-a", "fixed")),
    ),
    Story("adopt", _adopting, promised=()),
    Story("release", _delete, _adopting, promised=(WEB,)),
    Story("blocked", _clear_the_way, _blocked, promised=(TEAM_A,)),
    Story("delete", _delete, _two_copies),
    Story("create-and-delete", _create_and_delete, settles_in=61.0),
    Story("orphan", _delete, _orphaning, promised=BOTH),
    Story("recreate-sync", _recreate_sync, _two_copies, promised=BOTH, may_delete=True),
    Story("remove-by-force", _remove_by_force, _two_copies, settles_in=ORPHAN_SECONDS),
    Story("source-recreated", _recreate_source, _two_copies, promised=BOTH),
    Story("source-recreated-at-once", _recreate_source_at_once, _withdrawing),
    Story("source-deleted", _delete_source, _withdrawing),
    Story("namespace-recreated", _recreate_namespace, _two_copies, promised=(TEAM_A,)),
    Story(
        "namespace-recreated-often",
        _recreate_namespace_twice,
        _recreated_namespace,
        promised=(TEAM_A,),
    ),
    Story("namespace-deleted", _delete_namespace, _two_copies, promised=(TEAM_A,)),
    Story(
        "permission-revoked",
        _revoke,
        _with_an_account,
        problems=_withdrawn,
        patience=AUTHORIZATION_SECONDS,
    ),
    Story(
        "permission-regained",
        _revoke_for_a_while,
        _with_an_account,
        patience=AUTHORIZATION_SECONDS,
    ),
    Story(
        "takeover",
        _change_and_kill,
        _two_copies,
        promised=BOTH,
        settles_in=LEASE_SECONDS,
        patience=LEASE_SECONDS,
        recorded=LEASE_SECONDS,
        quiet=60.0,
        replicas=2,
    ),
    Story(
        "handover",
        _change_and_stop,
        _two_copies,
        promised=BOTH,
        patience=LEASE_SECONDS,
        quiet=60.0,
        replicas=2,
    ),
)
BY_NAME = {story.name: story for story in STORIES}
