"""Wait for transports that close after the end of a client or a server.

A TLS transport closes some turns of the event loop after its session. If the loop ends
before, Python warns, and the warning fails a later test.
"""

import asyncio

TURNS = 10  # each side of a TLS shutdown needs two or three
TURN_SECONDS = 0.005


async def transports_closed() -> None:
    """Wait until no transport is open, for some turns of the event loop at most.

    A wait of one timer is not enough: on a busy machine it may last one turn.
    """
    # uvloop does not show its transports.
    transports = getattr(asyncio.get_running_loop(), "_transports", None)
    for _ in range(TURNS):
        if transports is not None and not any(each._sock for each in transports.values()):
            return
        await asyncio.sleep(TURN_SECONDS)
