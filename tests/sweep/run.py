"""Run one story with one disturbance, and check everything that was promised.

A disturbance is some faults for numbered requests, a schedule of the watches, or both.
The same disturbance always makes the same run.
"""

from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import structlog

from tests.randomized.cluster import Document
from tests.randomized.expected import Key, is_copy
from tests.randomized.fault_plan import FaultPlan, Request
from tests.randomized.simulation import CONFIGMAPS, NAMESPACES, SYNCS, Simulation
from tests.sweep.faults import NumberedFaults, Strike, may_leave_orphan, repaired_in
from tests.sweep.promises import Promises
from tests.sweep.schedules import CALM, Schedule
from tests.sweep.stories import BY_NAME, ORPHAN_SECONDS, Story

SETTLED_SECONDS = 10.0  # after the set-up
RECORDED_SECONDS = 5.0  # after the last action, when requests are counted
UNDISTURBED_SECONDS = 1.0  # until everything is right, without a fault
SEED = 7


@dataclass(frozen=True, slots=True)
class Disturbance:
    """What happens to one run.

    Attributes:
        strikes: faults for numbered requests.
        schedule: delays, losses and ends of watches.
        seed: of the delays of requests.
    """

    strikes: tuple[Strike, ...] = ()
    schedule: Schedule = CALM
    seed: int = SEED

    def __str__(self) -> str:
        parts = [*map(str, self.strikes), *self.schedule.words()]
        return " ".join([*parts, *([f"seed={self.seed}"] if self.seed != SEED else [])])


class SweepRun(Simulation):
    """One story in a cluster of its own."""

    def __init__(self, story: Story, disturbance: Disturbance) -> None:
        self.story = story
        self.disturbance = disturbance
        self.replicas = story.replicas
        self.plan = NumberedFaults.of(disturbance.strikes, disturbance.seed)
        super().__init__()

    def play(self) -> list[Request]:
        """Play the story to its end; return the requests that were counted.

        Raises:
            AssertionError: a promise was broken.
        """
        try:
            self._set_up()
            return self._act()
        finally:
            self._close()

    def configmap(self, key: Key, data: dict[str, str], **fields: Any) -> None:
        """Create or replace a ConfigMap as a user does."""
        existing = self.cluster.find(CONFIGMAPS, *key)
        metadata = existing["metadata"] if existing else {"namespace": key[0], "name": key[1]}
        document = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
        self.accepted(self.put(CONFIGMAPS, {**document, **fields}))

    def sync(self, key: Key, **spec: Any) -> None:
        """Create a sync of the source `home/config`."""
        metadata = {"namespace": key[0], "name": key[1]}
        document = {"apiVersion": "apps.nishaf.info/v1", "kind": "ConfigMapSync"}
        spec = {"configMapName": "config", **spec}
        self.accepted(self.put(SYNCS, {**document, "metadata": metadata, "spec": spec}))

    def edit_sync(self, key: Key, **spec: Any) -> None:
        """Change fields of a spec."""
        self.accepted(self.patch(SYNCS, key, {"spec": spec}))

    def namespace(self, name: str, labels: dict[str, str]) -> None:
        """Create a namespace."""
        metadata = {"name": name, "labels": labels}
        self.accepted(
            self.put(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        )

    def empty_namespaces(self) -> None:
        """Run the namespace controller until no namespace is terminating."""
        while any("deletionTimestamp" in each["metadata"] for each in self.cluster.all(NAMESPACES)):
            self._run(self.cluster.end_namespaces())

    def create(self, kind: tuple[str, str], document: Document) -> None:
        """Create any object."""
        self.accepted(self.put(kind, document))

    def compact(self) -> None:
        """Compact the history of the cluster."""
        self.cluster.compact()

    def accepted(self, answer: bool) -> None:
        """Check that the cluster accepted a request of the story itself."""
        assert answer, f"the cluster refused a request of the story {self.story.name}"

    def copies(self) -> Iterator[Key]:
        """Yield the copies in the cluster."""
        for configmap in self.cluster.all(CONFIGMAPS):
            if is_copy(configmap):
                yield configmap["metadata"]["namespace"], configmap["metadata"]["name"]

    def _fault_plan(self) -> FaultPlan:
        return self.plan

    def _pause(self) -> float:
        return 0.0

    def _collect_log_error(self, logger: Any, method: str, event: MutableMapping[str, Any]) -> str:
        """Collect errors; a leader whose renewals meet two faults loses the Lease."""
        if event["event"] == "lost leader lease" and self.replicas > 1:
            raise structlog.DropEvent
        return super()._collect_log_error(logger, method, event)

    def _set_up(self) -> None:
        for namespace in ("team-a", "team-b"):
            self.configmap((namespace, "bystander"), {"kept": "by others"})
        self.configmap(("home", "config"), {"a": "1", "b": "2"})
        self.configmap(("home", "steady"), {"a": "1"})
        self.sync(("home", "steady"), configMapName="steady", destinationNamespaces=["team-b"])
        self.story.set_up(self)
        self.pass_time(SETTLED_SECONDS + self.story.startup)
        problems = list(self.expected.problems())
        assert not problems, f"the set-up of {self.story.name} does not settle: {problems}"

    def _act(self) -> list[Request]:
        bystanders = [("team-a", "bystander"), ("team-b", "bystander"), ("team-b", "steady")]
        promises = Promises(
            self.cluster,
            self._loop.time,
            promised=[*((key,) for key in self.story.promised), *self.story.replaced],
            bystanders=bystanders,
            leaders=lambda: sum(replica.leads for replica in self._replicas),
        )
        self._remember_lists()
        self.plan.armed = True
        schedule = self.disturbance.schedule
        schedule.begin(self)
        self.story.act(self)
        schedule.go_on(self)
        self.pass_time(RECORDED_SECONDS + self.story.recorded)
        counted = list(self.plan.requests)
        schedule.end(self)
        longest = self._wait_for_repair()
        # Without a fault the operator deletes no copy that it cannot create again at once.
        disturbed = self.disturbance.strikes or self.story.may_delete
        own_gap = longest if disturbed else UNDISTURBED_SECONDS
        self.empty_namespaces()
        self.plan.clear()
        self.pass_time(UNDISTURBED_SECONDS)
        self._check_result(promises, longest, own_gap)
        return counted

    def _wait_for_repair(self) -> float:
        """Wait as long as the repair of each fault may take; return the seconds.

        A second fault may strike only after the first one was repaired.
        """
        longest = 0.0
        waited = RECORDED_SECONDS - self.story.settles_in
        while (longest := self._repaired_in()) > waited:
            self.pass_time(longest - waited)
            waited = longest
        return longest

    def _check_result(self, promises: Promises, gap: float, own_gap: float) -> None:
        problems = [*self.story.problems(self), *promises.problems(gap, own_gap)]
        assert not problems, "\n".join(problems)
        before = self._writes()
        self.pass_time(self.story.quiet)
        assert self._writes() == before, "a write happened after convergence"

    def _repaired_in(self) -> float:
        """Return the seconds within which the faults of this run must be repaired."""
        met = [
            repaired_in(strike.kind, self.plan.requests[strike.number])
            for strike in self.disturbance.strikes
            if strike.number < len(self.plan.requests)
        ]
        return (
            UNDISTURBED_SECONDS
            + sum(met)
            + self.disturbance.schedule.lasts
            + self.story.patience
            + (ORPHAN_SECONDS if may_leave_orphan(self.disturbance.strikes) else 0.0)
        )

    def _remember_lists(self) -> None:
        """Keep the present answers of all lists, for those that are answered from the past."""
        for key in self.plan.lists:
            path, params, accept = key
            self.plan.past[key] = self._run(
                self.cluster.call("GET", path, params=dict(params), accept=accept)
            )


@cache
def requests_of(story: str) -> tuple[Request, ...]:
    """Return the requests of a story without a disturbance."""
    return tuple(SweepRun(BY_NAME[story], Disturbance()).play())
