"""The controllers: namespaces, garbage collection, custom kinds.

`loop.py` wakes a controller for what an event may have changed. The controller reads
the store and writes through the registry (`actor.py`), so that its writes pass all
rules and webhooks. A work item is a name, never an event.
"""

from devcluster.controllers.loop import Controllers

__all__ = ["Controllers"]
