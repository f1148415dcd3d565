"""Define planted bugs, each of which the sweep must find.

A bug is a replacement of source text, which survives more changes around it than a
patch. There is at least one bug for each class of fault. `test_mutants.py` plants them
in a copy of the product.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """A planted bug.

    Attributes:
        name: of the bug.
        path: of the file, from the root of the repository.
        old: the text to replace; it occurs once in the file.
        new: what stands there instead.
        sweep: arguments of `python -m tests.sweep` that find the bug.
    """

    name: str
    path: str
    old: str
    new: str
    sweep: tuple[str, ...]


MUTANTS = (
    Mutant(
        "the finalizer is removed while a create is in flight",
        "reconciler/reconcile.py",
        "record.deleting and not planned.finalizer and applied.settled",
        "record.deleting and not planned.finalizer",
        ("--stories", "create-and-delete"),
    ),
    Mutant(
        "an immutable copy is deleted before its successor is admitted",
        "reconciler/writes/writer.py",
        "            await self._create(key, configmap, dry_run=True)\n",
        "            pass\n",
        ("immutable", "denied=6.0"),
    ),
    Mutant(
        "a namespace that was recreated a few times makes its copies contested",
        "configmapsync/contention.py",
        "if history is None or history.owner != owner:",
        "if history is None:",
        ("--stories", "namespace-recreated-often"),
    ),
    Mutant(
        "the copy is created before the finalizer is added",
        "reconciler/reconcile.py",
        "if planned.finalizer and not record.deleting",
        "if planned.finalizer and not planned.writes and not record.deleting",
        ("--stories", "create"),
    ),
    Mutant(
        "copies without a sync are not noticed after a restart",
        "reconciler/triggers.py",
        "            if copy is None:\n                continue\n            if copy.synced_by",
        "            if copy is None or old is None:\n                continue\n"
        "            if copy.synced_by",
        ("--stories", "remove-by-force"),
    ),
    Mutant(
        "a copy is deleted without a precondition on its version",
        "kube/client.py",
        '"resourceVersion": resource_version',
        '"resourceVersion": None',
        ("--stories", "delete"),
    ),
    Mutant(
        "a request without an answer is not retried soon",
        "kube/errors.py",
        "    Unreachable: Retry.TRANSIENT,",
        "    Unreachable: Retry.NEVER,",
        ("--stories", "create"),
    ),
    Mutant(
        "a request that is answered 429 is not retried soon",
        "kube/errors.py",
        "    TooManyRequests: Retry.TRANSIENT,",
        "    TooManyRequests: Retry.NEVER,",
        ("--stories", "create"),
    ),
    Mutant(
        "a request that is answered 503 is not retried soon",
        "kube/errors.py",
        "    ServerError: Retry.TRANSIENT,",
        "    ServerError: Retry.NEVER,",
        ("--stories", "create"),
    ),
    Mutant(
        "a denied write is not retried soon",
        "kube/errors.py",
        "    AdmissionDenied: Retry.BLOCKED,",
        "    AdmissionDenied: Retry.NEVER,",
        ("--stories", "create"),
    ),
    Mutant(
        "a status that could not be written is forgotten",
        "reconciler/reports/status.py",
        "            self._queue.add_after(key, retry_in)\n            if error.retry",
        "            if error.retry",
        ("--stories", "edit"),
    ),
    Mutant(
        "an expired watch is resumed at the same version",
        "kube/reflector.py",
        "isinstance(error, Gone | Malformed)",
        "isinstance(error, Malformed)",
        ("edit", "cut=('configmaps',)", "compacted=True"),
    ),
    Mutant(
        "an object that a list no longer holds stays in the cache",
        "kube/store.py",
        "if place not in listed)",
        "if place not in listed and place in self._stale)",
        ("drift", "deaf=('copies',)", "deaf_seconds=4.0"),
    ),
    Mutant(
        "a slow write is not reported when it ends",
        "reconciler/writes/applier.py",
        "if batch.waiter is None and (batch.idle or batch.outdated):",
        "if batch.waiter is None and batch.outdated:",
        ("--stories", "create"),
    ),
    Mutant(
        "the event of an own write is dropped although admission changed the content",
        "kube/informer.py",
        "return self._confirms(held, event.item)",
        "return True",
        ("--stories", "edit"),
    ),
    Mutant(
        "a candidate takes the Lease while another process holds it",
        "kube/leader_election.py",
        "duration if others else 0",
        "1 if others else 0",
        ("takeover",),
    ),
    Mutant(
        "rights of a service account are checked once only",
        "reconciler/observe.py",
        "recheck_seconds if depends else None",
        "None",
        ("permission-revoked",),
    ),
    Mutant(
        "a copy that replaces another one is written after that one was deleted",
        "configmapsync/planning.py",
        "removals = tuple(removal for removal in unwanted"
        " if removal.key.namespace not in unfinished)",
        "removals = tuple(unwanted)",
        ("rename", "denied=6.0"),
    ),
)
