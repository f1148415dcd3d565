"""What a cluster does by itself: namespaces end, dependents of deleted objects go, custom resources go with their definition.

loop.py wakes a controller for what an event may have changed; the controller looks at the store and makes it right, one
write at a time, through the same rules and webhooks as everybody (actor.py). A work item is a name, never an event.
"""

from devcluster.controllers.loop import Controllers

__all__ = ["Controllers"]
