"""Two replicas: one leads, the other is a ready standby.

After any end of the leader the standby continues; no edit is lost or carried out twice.
"""

import json
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.accounts import kubeconfig_of
from tests.journeys.bounds import within
from tests.journeys.conftest import install_crd
from tests.journeys.faults import Faults, stop_for
from tests.journeys.scrape import scrape
from tests.journeys.stage import Stage
from tests.support.audit import Used, writes
from tests.support.cluster import Cluster
from tests.support.clusters import started
from tests.support.eventually import wait_until
from tests.support.processes import LOCAL_ADDRESS, Process, free_port

LEASE = "configmapsync-reconciler"
# The promised takeover after a clean exit; after any other end the lease duration comes first.
TAKEOVER_SECONDS = 2.0
SHORT_LEASE = ("4", "3", "0.5")  # duration, deadline and retry period, in seconds
# So long that no replica takes over a silent leader during the test.
LONG_LEASE = ("60", "40", "0.5")
STOPPED = '"event": "stopped"'  # in the last line of a process
CREATED = Used("", "configmaps", "create")
BINDINGS = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"


@dataclass
class Replica:
    """A reconciler with leader election."""

    process: Process
    port: int

    @property
    def leads(self) -> bool:
        """Return whether its metric says that it leads."""
        return scrape(self.port).value("leader_election_master_status") == 1

    @property
    def waiting(self) -> float:
        """Return the number of syncs that it has received and not reconciled."""
        return scrape(self.port).value("workqueue_depth")

    def stop(self) -> None:
        """Freeze the process, as a swapping node or a debugger does."""
        self.process.send(signal.SIGSTOP)

    def go_on(self) -> None:
        """Resume the process."""
        self.process.send(signal.SIGCONT)


class Replicas:
    """Starts replicas that contend for one Lease."""

    def __init__(self, stage: Stage, start_process: Callable[..., Process]) -> None:
        self.stage = stage
        self.cluster = stage.cluster
        self.namespace = stage.election_namespace()
        self._start_process = start_process

    def start(
        self,
        times: tuple[str, str, str] = LONG_LEASE,
        user: str | None = None,
        kubeconfig: Path | None = None,
    ) -> Replica:
        """Start a replica and wait until it is ready; a standby is ready as well."""
        port = free_port()
        duration, deadline, retry = times
        process = self._start_process(
            *("reconciler", "--leader-elect", "--health-address", f"{LOCAL_ADDRESS}:{port}"),
            *("--kubeconfig", kubeconfig or self.kubeconfig(user)),
            *("--leader-election-namespace", self.namespace),
            *(
                "--leader-election-lease-duration",
                duration,
                "--leader-election-renew-deadline",
                deadline,
            ),
            *("--leader-election-retry-period", retry),
        )
        process.wait_until_answering(f"http://{LOCAL_ADDRESS}:{port}/readyz")
        return Replica(process, port)

    def leader(
        self,
        times: tuple[str, str, str] = LONG_LEASE,
        user: str | None = None,
        kubeconfig: Path | None = None,
    ) -> Replica:
        """Start a replica that leads."""
        replica = self.start(times, user, kubeconfig)
        wait_until(lambda: replica.leads)
        return replica

    def standby(self, times: tuple[str, str, str] = LONG_LEASE, user: str | None = None) -> Replica:
        """Start a replica that waits."""
        replica = self.start(times, user)
        replica.process.wait_for_line("another process leads")
        assert not replica.leads
        return replica

    def taken_over_by(self, standby: Replica, seconds: float) -> None:
        """Check that the standby leads within some seconds; its metric may follow later."""
        with within(seconds, self.cluster, standby.process):
            standby.process.wait_for_line("acquired leader lease")
        wait_until(lambda: standby.leads)

    def kubeconfig(self, user: str | None) -> Path:
        """Return a kubeconfig of the reconciler's ServiceAccount, or of another user."""
        return (
            kubeconfig_of(self.cluster, "reconciler")
            if user is None
            else self.cluster.kubeconfig_for(user)
        )

    @property
    def lease_path(self) -> str:
        return f"/apis/coordination.k8s.io/v1/namespaces/{self.namespace}/leases/{LEASE}"

    @property
    def lease(self) -> Any:
        """Return the Lease."""
        return self.cluster.get(self.lease_path)

    def version(self) -> str:
        """Return the resource version that the cluster has reached."""
        return str(
            self.cluster.get(f"/api/v1/namespaces/{self.namespace}/configmaps")["metadata"][
                "resourceVersion"
            ]
        )

    def history(self, path: str, since: str) -> list[Any]:
        """Return every watch event of a collection after version `since`."""
        answer = self.cluster.request(
            "GET", f"{path}?watch=true&resourceVersion={since}&timeoutSeconds=1"
        )
        events = [json.loads(line) for line in answer.text.splitlines()]
        assert all(event["type"] != "ERROR" for event in events)
        return events


@pytest.fixture
def replicas(stage: Stage, start_process: Callable[..., Process]) -> Replicas:
    return Replicas(stage, start_process)


@dataclass
class Work:
    """A source, its sync and the destination of the copy."""

    stage: Stage
    home: str
    there: str
    sync: str

    def edit(self, value: str) -> dict[str, Any]:
        """Change the source and return the expected content of the copy."""
        return self.stage.edit(self.home, "config", data={"key": value})

    def copied(self, value: str) -> None:
        """Wait until the copy has this content and the sync is idle."""
        self.stage.copy_becomes({"data": {"key": value}}, self.there)
        self.stage.ready_becomes(self.sync, "True", "Synced")


def work_for(stage: Stage) -> Work:
    home, there = stage.namespace("home"), stage.namespace("there")
    stage.source(home)
    return Work(stage, home, there, stage.sync(home, destinationNamespace=there))


def test_the_standby_caches_everything_and_writes_nothing(replicas: Replicas) -> None:
    leader, standby = replicas.leader(), replicas.standby()
    leader.stop()
    received = standby.waiting

    work = work_for(replicas.stage)
    wait_until(lambda: standby.waiting > received)
    sync = replicas.cluster.get(work.sync)
    events = replicas.cluster.get(f"/api/v1/namespaces/{work.home}/events")["items"]
    copy = replicas.stage.find(work.there)

    assert (
        "conditions" in sync.get("status", {}),
        sync["metadata"].get("finalizers"),
        events,
        copy,
    ) == (
        False,
        None,
        [],
        None,
    )
    standby.process.wait_until_answering(f"http://{LOCAL_ADDRESS}:{standby.port}/readyz")
    leader.go_on()
    work.copied("value")


def test_after_a_clean_exit_the_standby_takes_over_at_once(replicas: Replicas) -> None:
    leader, standby = replicas.leader(), replicas.standby()
    work = work_for(replicas.stage)
    work.copied("value")

    assert leader.process.terminate() == 0

    replicas.taken_over_by(standby, TAKEOVER_SECONDS)
    assert replicas.lease["spec"]["leaseTransitions"] == 1
    work.edit("after")
    work.copied("after")


def test_a_standby_that_ends_leaves_the_lease_alone(replicas: Replicas) -> None:
    leader, standby = replicas.leader(), replicas.standby()
    holder = replicas.lease["spec"]["holderIdentity"]

    assert standby.process.terminate() == 0

    assert leader.leads
    assert replicas.lease["spec"]["holderIdentity"] == holder


def test_edits_during_a_takeover_are_neither_lost_nor_carried_out_twice(replicas: Replicas) -> None:
    leader, standby = replicas.leader(), replicas.standby()
    work = work_for(replicas.stage)
    work.copied("value")
    since = replicas.version()

    for number in range(30):
        if number == 10:
            leader.process.send(signal.SIGTERM)
        work.edit(str(number))
    assert leader.process.wait() == 0
    wait_until(lambda: standby.leads)
    work.copied("29")

    events = replicas.history(f"/api/v1/namespaces/{work.there}/configmaps", since)
    written = [
        int(event["object"]["data"]["key"])
        for event in events
        if event["object"]["metadata"]["name"] == "config"
    ]
    assert {event["type"] for event in events} == {"MODIFIED"}
    assert written == sorted(set(written)), "each content once, never an older one after a newer"
    assert written[-1] == 29


def test_after_a_kill_the_standby_takes_over_when_the_lease_has_run_out(replicas: Replicas) -> None:
    leader, standby = replicas.leader(SHORT_LEASE), replicas.standby(SHORT_LEASE)
    work = work_for(replicas.stage)
    work.copied("value")

    leader.process.kill()
    work.edit("orphaned")

    replicas.taken_over_by(standby, float(SHORT_LEASE[0]) + TAKEOVER_SECONDS)
    work.copied("orphaned")


@pytest.mark.only_on("devcluster", "real")
def test_a_leader_frozen_beyond_its_lease_ends_without_a_write(
    cluster: Cluster, start_process: Callable[..., Process], tmp_path: Path
) -> None:
    """The audit log distinguishes the replicas: one runs as alice, the other as bob."""
    log, folder = tmp_path / "audit.log", tmp_path / "audited"
    folder.mkdir()
    with started(cluster.kind, folder, audit_log=log) as own:
        install_crd(own)
        for user in ("alice", "bob"):
            _bind_to_everything(own, user)
        replicas = Replicas(Stage(own, own.new_namespace), start_process)
        leader, standby = (
            replicas.leader(SHORT_LEASE, user="alice"),
            replicas.standby(LONG_LEASE, user="bob"),
        )
        work = work_for(replicas.stage)
        work.copied("value")
        assert writes(log, "bob") == []
        assert CREATED in writes(log, "alice")
        leader.stop()
        wait_until(lambda: standby.leads, within=20)
        written = writes(log, "alice")

        standby.stop()  # so that only the old leader could write now
        work.edit("news")
        leader.go_on()

        assert leader.process.wait() == 1
        assert "lost leader lease" in leader.process.output()
        assert writes(log, "alice") == written
        standby.go_on()
        work.copied("news")
        assert standby.leads


def test_a_deleted_lease_is_created_again_by_its_holder(replicas: Replicas) -> None:
    leader, standby = replicas.leader(), replicas.standby()
    before = replicas.lease

    replicas.cluster.delete(replicas.lease_path)
    wait_until(lambda: replicas.cluster.find(replicas.lease_path) is not None)

    after = replicas.lease
    assert after["metadata"]["uid"] != before["metadata"]["uid"]
    for part in ("holderIdentity", "acquireTime", "leaseTransitions"):
        assert after["spec"][part] == before["spec"][part]
    assert (leader.leads, standby.leads) == (True, False)


def test_a_leader_that_may_not_renew_ends_in_time_and_logs_why(replicas: Replicas) -> None:
    binding = _bind_to_everything(replicas.cluster, "alice")
    try:
        leader, standby = replicas.leader(SHORT_LEASE, user="alice"), replicas.standby(SHORT_LEASE)
    finally:
        replicas.cluster.delete(binding)

    with within(float(SHORT_LEASE[1]) + TAKEOVER_SECONDS, replicas.cluster, leader.process):
        leader.process.wait_for_line(STOPPED)
    assert 'cannot patch resource \\"leases\\"' in leader.process.wait_for_line("lost leader lease")
    replicas.taken_over_by(standby, float(SHORT_LEASE[0]) + TAKEOVER_SECONDS)
    assert leader.process.wait() == 1


def _bind_to_everything(cluster: Cluster, user: str) -> str:
    rbac = "rbac.authorization.k8s.io"
    name = cluster.create(
        BINDINGS,
        {
            "metadata": {"generateName": "leader-"},
            "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"apiGroup": rbac, "kind": "User", "name": user}],
        },
    )["metadata"]["name"]
    return f"{BINDINGS}/{name}"


@pytest.mark.only_on("devcluster")
def test_without_an_api_server_for_longer_than_the_deadline_the_leader_ends(
    replicas: Replicas,
) -> None:
    leader = replicas.leader(SHORT_LEASE)

    seconds = float(SHORT_LEASE[1]) + TAKEOVER_SECONDS
    with within(seconds, replicas.cluster, leader.process):
        stop_for(replicas.cluster, seconds)
        leader.process.wait_for_line(STOPPED)
    assert "not renewed for 3 s" in leader.process.wait_for_line("lost leader lease")
    assert leader.process.wait() == 1
    wait_until(lambda: replicas.cluster.request("GET", "/readyz").status == 200, within=30)


@pytest.mark.only_on("devcluster")
def test_a_short_outage_of_the_api_server_does_not_cost_the_lease(replicas: Replicas) -> None:
    leader = replicas.leader()
    work = work_for(replicas.stage)
    work.copied("value")

    stop_for(replicas.cluster, 1)
    wait_until(lambda: replicas.cluster.request("GET", "/readyz").status == 200)
    work.edit("after")

    work.copied("after")
    assert leader.leads
    assert replicas.lease["spec"]["leaseTransitions"] == 0


@pytest.mark.only_on("devcluster")
def test_writes_in_flight_are_finished_before_the_lease_is_given_back(
    replicas: Replicas, fault: Faults
) -> None:
    leader, standby = replicas.leader(), replicas.standby()
    stage = replicas.stage
    home, slow = stage.namespace("home"), stage.namespace("slow")
    stage.source(home)
    fault("delay", verb="create", resource="configmaps", namespace=slow, seconds=3)
    sync = stage.sync(home, destinationNamespace=slow)
    wait_until(lambda: sum(fault.hits()) == 1)

    assert leader.process.terminate() == 0

    copy, lease = stage.find(slow), replicas.lease
    assert copy is not None
    assert int(copy["metadata"]["resourceVersion"]) < int(lease["metadata"]["resourceVersion"])
    assert "released leader lease" in leader.process.output()
    replicas.taken_over_by(standby, TAKEOVER_SECONDS)
    stage.ready_becomes(sync, "True", "Synced")
    assert stage.find(slow) == copy  # a create before the event of the copy changes nothing


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        (["--leader-elect"], "--leader-election-namespace is required with --leader-elect"),
        (
            ["--leader-election-renew-deadline", "15"],
            "the lease duration must be more than the renew deadline",
        ),
    ],
)
def test_invalid_lease_durations_are_refused_at_the_start(
    start_process: Callable[..., Process], flags: list[str], problem: str
) -> None:
    process = start_process("reconciler", *flags)

    assert process.wait() == 2
    assert problem in process.output()
