"""Keep the state of one list and watch, for health checks, metrics and logs.

`reflector.py` writes it. `runtime/health.py`, `runtime/metrics.py`, and the caches and
the page of the reconciler read it. It must not decide whether the process is healthy.
"""

import asyncio

import structlog

from kube.errors import ApiError


class WatchState:
    """What a list and watch did so far. Times are on the event loop's clock.

    Attributes:
        problem: why it does not work now; None while it does.
        last_heard: when the API server was last heard.
        last_active: when the last page or line came or the last attempt ended. While the API
            server is away, attempts go on and fail. A stuck reflector does neither.
        lists: how often the whole collection was listed.
        watches: how often a watch was opened; a healthy one is renewed in five to ten minutes.
    """

    def __init__(self, path: str) -> None:
        self.problem: ApiError | None = None
        self.last_heard = self.last_active = asyncio.get_running_loop().time()
        self.lists = 0
        self.watches = 0
        self._log = structlog.get_logger("reflector").bind(path=path)

    def heard(self) -> bool:
        """Note that the API server was heard; return whether that ended a problem."""
        self.last_heard = self.last_active = asyncio.get_running_loop().time()
        recovered = self.problem is not None
        if recovered:
            self._log.info("list and watch recovered")
            self.problem = None
        return recovered

    def failed(self, error: ApiError) -> None:
        """Note an error, and log it unless it is the previous one again."""
        if not error.repeats(self.problem):
            self._log.warning("cannot list or watch", error=str(error))
        self.problem = error
