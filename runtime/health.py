"""The small HTTP server beside each process: `/healthz`, `/readyz` and `/metrics`.

A check is a function that returns `None` when all is well, else the reason as a sentence. The reasons are the body of the 503 that a
person reads in `kubectl describe pod`, so they say what is waited for.
"""

from collections.abc import Callable, Mapping

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from runtime.settings import Address

Check = Callable[[], str | None]


class HealthServer:
    """Serves the three paths until closed."""

    def __init__(self, address: Address, registry: CollectorRegistry) -> None:
        self._address = address
        self._registry = registry
        self._alive: dict[str, Check] = {}
        self._ready: dict[str, Check] = {}
        self._runner: web.AppRunner | None = None

    def alive_when(self, name: str, check: Check) -> None:
        """Let `/healthz` ask `check`; a failing one gets the process restarted."""
        self._alive[name] = check

    def ready_when(self, name: str, check: Check) -> None:
        """Let `/readyz` ask `check`; a failing one takes the process out of service."""
        self._ready[name] = check

    async def start(self) -> Address:
        """Listen; the address tells the port the system picked where 0 was asked for."""
        application = web.Application()
        application.router.add_get("/healthz", lambda _: _answer(self._alive))
        application.router.add_get("/readyz", lambda _: _answer(self._ready))
        application.router.add_get("/metrics", self._metrics)
        self._runner = web.AppRunner(application, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._address.host, self._address.port)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        return Address(host, port)

    async def close(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST})


async def _answer(checks: Mapping[str, Check]) -> web.Response:
    problems = [f"{name}: {problem}" for name, check in checks.items() if (problem := check()) is not None]
    if problems:
        return web.Response(status=503, text="\n".join(problems) + "\n")
    return web.Response(text="ok\n")
