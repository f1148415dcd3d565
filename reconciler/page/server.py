"""Listen for readers of the page.

`reconciler/app.py` builds the server, `__main__.py` starts and closes it. Connections
are few and end after some minutes, as those of the health server.
"""

from aiohttp import web

from kube.events import EventRecorder
from kube.leader_election import Elector
from reconciler.known.caches import Caches
from reconciler.page.bundle import file_routes
from reconciler.page.guard import guard
from reconciler.page.handlers import Handlers
from reconciler.page.recent_events import RecentEvents
from runtime.listening import ConnectionLimits, Listener
from runtime.settings import Address

MOST_CONNECTIONS = 32
LONGEST_CONNECTION_SECONDS = 600.0
LARGEST_BODY = 1024  # bytes; a GET needs none


class PageServer:
    """Serves the page until closed."""

    def __init__(
        self, address: Address, caches: Caches, elector: Elector | None, events: EventRecorder
    ) -> None:
        """Prepare the page; nothing listens yet.

        Args:
            address: where to listen.
            caches: of the reconciler.
            elector: None if this is the only replica.
            events: recorder whose events the page shows.
        """
        recent = RecentEvents()
        events.on_event(recent.note)
        self._handlers = Handlers(caches, elector, recent)
        limits = ConnectionLimits.same_for_all(MOST_CONNECTIONS, LONGEST_CONNECTION_SECONDS)
        self._listener = Listener(address, limits)

    async def start(self) -> Address:
        """Listen; return the address, with the port that the system selected for port 0.

        Raises:
            OSError: the address is in use.
        """
        application = web.Application(middlewares=[guard], client_max_size=LARGEST_BODY)
        application.router.add_routes([*file_routes(), *self._handlers.routes()])
        return await self._listener.serve(web.AppRunner(application, access_log=None))

    async def close(self) -> None:
        """Stop listening."""
        await self._listener.close()
