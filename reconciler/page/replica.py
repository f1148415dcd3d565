"""Describe the replica that serves the page: whether it leads, and how its watches are.

`handlers.py` calls it. A standby replica has the same caches as the leader, but emits
no events.
"""

from collections.abc import Iterable, Mapping

from kube.leader_election import Elector
from reconciler.known.caches import Caches


def replica_state(caches: Caches, elector: Elector | None, now: float) -> Mapping[str, object]:
    """Return the state of this replica for JSON.

    Args:
        caches: of the reconciler.
        elector: None if this is the only replica.
        now: on the event loop's clock, in seconds.

    Returns:
        `role`: `starting` until every cache has synced, then `leading` or `standby`; `leader`: the
        pod or host that holds the Lease, empty if it is not known; `leaseProblem`: why the Lease
        cannot be read or written, else null; `watches`: one object for each watch.
    """
    leads = elector is None or elector.leading
    return {
        "role": ("leading" if leads else "standby") if caches.complete else "starting",
        "leader": elector.holder.rpartition("_")[0] if elector else "",
        "leaseProblem": _text(elector.problem) if elector else None,
        "watches": list(_watches(caches, now)),
    }


def _watches(caches: Caches, now: float) -> Iterable[Mapping[str, object]]:
    """Yield the name and the number of objects of each watch, and how it is.

    `silentSeconds` is the time since the API server was last heard, null before the first list;
    `problem` says why the watch fails now, else null.
    """
    for name, informer in caches.all.items():
        state = informer.state
        yield {
            "name": name,
            "objects": len(informer),
            "synced": informer.synced.is_set(),
            "silentSeconds": int(now - state.last_heard) if state.lists else None,
            "problem": _text(state.problem),
        }


def _text(problem: Exception | None) -> str | None:
    return str(problem) if problem else None
