"""Plan a fault for the request with a given number, and record the requests of a run.

`run.py` records the requests of a story without a fault. `sweep.py` repeats the story
once for each request and each fault that the request can meet.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tests.randomized.fault_plan import LATE_SECONDS, FaultKind, FaultPlan, Request

ListKey = tuple[str, tuple[tuple[str, str], ...], str]  # path, query, accepted media types
# A read has no effect, so that some faults are the same for it.
READ_FAULTS = (
    FaultKind.CONFLICT,
    FaultKind.GONE,
    FaultKind.TOO_MANY,
    FaultKind.SERVER_ERROR,
    FaultKind.UNAVAILABLE,
    FaultKind.SLOW,
    FaultKind.LOST_REQUEST,
    FaultKind.LOST_ANSWER,
    FaultKind.KILLED_BEFORE,
)
# After the fault itself has ended: backoff, a restart, and the next plan.
REPAIR_SECONDS = 5.0
SLOW_REPAIR_SECONDS = 8.0


@dataclass(frozen=True, slots=True)
class Strike:
    """A fault that hits the request with this number."""

    number: int
    kind: FaultKind

    def __str__(self) -> str:
        return f"{self.number}:{self.kind.name}"


@dataclass(slots=True)
class NumberedFaults(FaultPlan):
    """Faults for numbered requests; counting begins with `arm`.

    Attributes:
        strikes: the faults to inject, by the number of the request.
        armed: whether requests are counted.
        requests: that were counted.
        denies_content: whether an admission policy denies every create and update of a ConfigMap.
        past: old answers of lists, by path and query, for the fault `past_lists`.
        past_lists: whether lists are answered from the past.
    """

    strikes: Mapping[int, FaultKind] = field(default_factory=dict)
    armed: bool = False
    requests: list[Request] = field(default_factory=list)
    denies_content: bool = False
    lists: set[ListKey] = field(default_factory=set)
    past: dict[ListKey, bytes] = field(default_factory=dict)
    past_lists: bool = False

    @classmethod
    def of(cls, strikes: tuple[Strike, ...], seed: int) -> "NumberedFaults":
        """Return a plan with these faults, and delays that follow from the seed."""
        rng = random.Random(seed)  # noqa: S311 - delays of requests
        return cls(rng, strikes={strike.number: strike.kind for strike in strikes})

    def next_fault(self, request: Request) -> FaultKind | None:
        """Count the request, and return the fault for its number."""
        if request.method == "GET" and "limit" in request.params:
            self.lists.add(_list_key(request))
        if not self.armed:
            return None
        self.requests.append(request)
        if self.denies_content and request.sends_content:
            return FaultKind.DENIED
        return self.strikes.get(len(self.requests) - 1)

    def answer_from_the_past(self, request: Request) -> bytes | None:
        """Return what a list answered when counting began."""
        return self.past.get(_list_key(request)) if self.past_lists else None

    def clear(self) -> None:
        """Remove all pending faults and delays."""
        FaultPlan.clear(self)
        self.armed = False
        self.denies_content = False
        self.past_lists = False


def _list_key(request: Request) -> ListKey:
    return request.path, tuple(sorted(request.params.items())), request.accept


def strikes_of(number: int, request: Request) -> Iterator[Strike]:
    """Yield every fault that this request can meet."""
    for kind in FaultKind if request.writes else READ_FAULTS:
        if kind is not FaultKind.MUTATED or request.stores_content:
            yield Strike(number, kind)


def may_leave_orphan(strikes: Sequence[Strike]) -> bool:
    """Return whether a create can happen after a crash that forgot it.

    The next process does not know of the create, and may remove the finalizer of a deleted sync
    before it happens. The copy is then handled as an orphan.
    """
    kinds = {strike.kind for strike in strikes}
    return FaultKind.LATE in kinds and bool(
        kinds & {FaultKind.KILLED_BEFORE, FaultKind.KILLED_AFTER}
    )


def repaired_in(kind: FaultKind, request: Request) -> float:
    """Return the seconds within which everything must be right again after a fault."""
    match kind:
        case FaultKind.SLOW:
            return SLOW_REPAIR_SECONDS
        case FaultKind.LOST_REQUEST | FaultKind.UNANSWERED:
            return request.timeout + REPAIR_SECONDS
        case FaultKind.LATE:
            return max(request.timeout, LATE_SECONDS) + REPAIR_SECONDS
        case _:
            return REPAIR_SECONDS
