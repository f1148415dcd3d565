"""Serve `/healthz`, `/readyz` and `/metrics` beside a process.

The reconciler and the webhook add their checks and start it. A check returns None, or
the reason of a failure as a sentence. The reasons are the body of a 503, which `kubectl
describe pod` shows, so they say what the process waits for. Every client of the pod
network may connect, so connections are few and short, and rendering has a bounded cost.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from functools import partial

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from runtime.listening import ConnectionLimits, Listener
from runtime.metrics import Watch, observe_watches
from runtime.settings import Address

MOST_CONNECTIONS = 64
# A connection is closed after this time. Prometheus and kubelets open a new one without an error.
LONGEST_CONNECTION_SECONDS = 60.0
# The text of the metrics is served again for this many times as long as its rendering took.
# So scrapes cost at most a twentieth of a core.
FRESH_FACTOR = 20
# A watch hears a bookmark every minute, a silent one is opened again after 80 seconds, and a failed
# attempt is repeated within 30. So a watch that did nothing for longer hangs.
STUCK_WATCH_SECONDS = 300.0

Check = Callable[[], str | None]


class HealthServer:
    """Serves the three paths until closed."""

    def __init__(self, address: Address, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._alive: dict[str, Check] = {}
        self._ready: dict[str, Check] = {}
        limits = ConnectionLimits.same_for_all(MOST_CONNECTIONS, LONGEST_CONNECTION_SECONDS)
        self._listener = Listener(address, limits)
        self._rendered = b""
        self._fresh_until = 0.0

    def ready_when(self, name: str, check: Check) -> None:
        """Add a check to `/readyz`; while it fails, the process gets no requests."""
        self._ready[name] = check

    def add_watches(self, watches: Mapping[str, Watch]) -> None:
        """Add the checks and the metrics that each process has for its watches.

        The process is ready after every collection was listed once, and stays ready while the API
        server is away: what it knows is still useful. It is alive while every watch either hears
        something or keeps trying.
        """
        now = asyncio.get_running_loop().time
        for name, watch in watches.items():
            self.ready_when(name, partial(_unlisted, watch))
            self._alive[name] = partial(_stuck, watch, now)
        observe_watches(self._registry, watches, now)

    def alive(self) -> list[str]:
        """Return the problems for which the process must be restarted."""
        return _problems(self._alive)

    def ready(self) -> list[str]:
        """Return the problems for which the process must not get requests."""
        return _problems(self._ready)

    async def start(self) -> Address:
        """Listen; return the address, with the port that the system selected for port 0.

        Raises:
            OSError: the address is in use, or there is no such interface.
        """
        application = web.Application()
        application.router.add_get("/healthz", partial(_report, self.alive))
        application.router.add_get("/readyz", partial(_report, self.ready))
        application.router.add_get("/metrics", self._metrics)
        return await self._listener.serve(web.AppRunner(application, access_log=None))

    async def close(self) -> None:
        """Stop listening."""
        await self._listener.close()

    async def _metrics(self, _request: web.Request) -> web.Response:
        """Answer with the text of all metrics; scrapes that come close together share one."""
        began = time.perf_counter()  # the loop's clock stands still during a step
        if began >= self._fresh_until:
            self._rendered = generate_latest(self._registry)
            ended = time.perf_counter()
            self._fresh_until = ended + FRESH_FACTOR * (ended - began)
        return web.Response(body=self._rendered, headers={"Content-Type": CONTENT_TYPE_LATEST})


def _unlisted(watch: Watch) -> str | None:
    if watch.synced.is_set():
        return None
    problem = watch.state.problem
    return f"cannot be listed: {problem}" if problem else "not listed yet"


def _stuck(watch: Watch, now: Callable[[], float]) -> str | None:
    idle = now() - watch.state.last_active
    if idle <= STUCK_WATCH_SECONDS:
        return None
    return f"the watch is stuck: no byte and no new attempt for {idle:.0f} s"


def _problems(checks: Mapping[str, Check]) -> list[str]:
    return [
        f"{name}: {problem}" for name, check in checks.items() if (problem := check()) is not None
    ]


async def _report(find: Callable[[], list[str]], _request: web.Request) -> web.Response:
    if problems := find():
        return web.Response(status=503, text="\n".join(problems) + "\n")
    return web.Response(text="ok\n")
