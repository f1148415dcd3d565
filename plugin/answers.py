"""Define what `explain` observes of a ConfigMap, and what it answers.

`explaining.py` finds the answers, and `commands/explain.py` reads and prints. No answer
contains a value of a ConfigMap.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cluster.syncs import SyncRecord
from configmapsync.content import SourceObject
from configmapsync.copies import CopyRecord
from configmapsync.explanations import Explanation
from configmapsync.names import NamespacedName
from configmapsync.selection import Namespace


@dataclass(frozen=True, slots=True)
class Problem:
    """One reason why something is not right.

    Attributes:
        places: the namespaces that it concerns; empty for the whole object.
        message: of the status; empty without one.
        explanation: the cause, the cure and the commands.
    """

    places: tuple[str, ...]
    message: str
    explanation: Explanation


@dataclass(frozen=True, slots=True)
class Answer:
    """What is known about one object.

    Attributes:
        kind: `ConfigMapSync` or `ConfigMap`.
        key: the object.
        facts: labelled facts, in the order in which they are printed.
        right: whether it is as it should be; None if nothing says how it should be.
        problems: why it is not right.
    """

    kind: str
    key: NamespacedName
    facts: tuple[tuple[str, str], ...]
    right: bool | None
    problems: tuple[Problem, ...] = ()

    def document(self) -> dict[str, Any]:
        """Return the answer for `-o json` and `-o yaml`."""
        problems = [
            {
                "reason": problem.explanation.reason,
                "namespaces": list(problem.places),
                "message": problem.message,
                "cause": problem.explanation.cause,
                "cure": problem.explanation.cure,
                "commands": list(problem.explanation.commands),
            }
            for problem in self.problems
        ]
        return {
            "kind": self.kind,
            **self.key._asdict(),
            "right": self.right,
            "facts": dict(self.facts),
            "problems": problems,
        }


@dataclass(frozen=True, slots=True)
class Observation:
    """What was read about a ConfigMap.

    Attributes:
        key: the ConfigMap.
        record: the ConfigMap; None if it does not exist.
        namespace: its namespace; None if it does not exist.
        syncs: every sync of the cluster; only the one that the marks name if `unread` says so.
        source: the source of the sync that manages the ConfigMap; None if it does not exist.
        unreadable: why the source could not be read; None if it could.
        labels_known: whether the namespace could be read.
        unread: what else could not be read for a missing right.
    """

    key: NamespacedName
    record: CopyRecord | None
    namespace: Namespace | None
    syncs: Sequence[SyncRecord]
    source: SourceObject | None = None
    unreadable: str | None = None
    labels_known: bool = True
    unread: tuple[str, ...] = ()
