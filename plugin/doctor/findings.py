"""Define what a check of `doctor` finds, and what every check gets to work with.

The modules beside this one return findings; `commands/doctor.py` prints them.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from plugin.reading import Reader

PREFIX = "configmapsync-"  # of the names that `config/default` installs
MOST_LISTED = 5  # objects in one finding


class Level(Enum):
    """How a check ended."""

    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """One result of a check.

    Attributes:
        level: how the check ended.
        topic: what was checked, in a word or two.
        message: what was found.
        remedy: what to do; empty if nothing is to be done.
    """

    level: Level
    topic: str
    message: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Patient:
    """The installation under examination.

    Attributes:
        reader: reads the cluster.
        namespace: of the operator.
        now: the time of the examination.
        metrics_url: of a forwarded port of the reconciler; empty to read through the API server.
    """

    reader: Reader
    namespace: str
    now: datetime
    metrics_url: str = ""

    @property
    def renew(self) -> str:
        """Return the command that makes new certificates."""
        return f"kubectl create job -n {self.namespace} --from=cronjob/{PREFIX}certs certs-now"

    @property
    def show_logs(self) -> str:
        """Return the command that prints the logs of the reconcilers."""
        return f"kubectl logs -n {self.namespace} -l app.kubernetes.io/component=reconciler"
