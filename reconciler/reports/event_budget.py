"""Limit the events of each sync or namespace: a sync can have a thousand copies."""

from collections import OrderedDict
from collections.abc import Callable

from configmapsync.names import NamespacedName

MOST_EVENTS = 20  # within the period
PERIOD_SECONDS = 300.0


class EventBudget:
    """Counts the events of each key within a period that begins with its first event."""

    def __init__(self, now: Callable[[], float]) -> None:
        """Create a budget.

        Args:
            now: the event loop's clock, in seconds.
        """
        self._now = now
        # By key, when its period began and how many events were asked for, the oldest first.
        self._asked: OrderedDict[NamespacedName | str, tuple[float, int]] = OrderedDict()

    def take(self, key: NamespacedName | str) -> bool:
        """Return whether one more event of `key` may be emitted, and count it."""
        now = self._now()
        while self._asked and now - next(iter(self._asked.values()))[0] >= PERIOD_SECONDS:
            self._asked.popitem(last=False)
        since, count = self._asked.get(key, (now, 0))
        self._asked[key] = (since, count + 1)
        return count < MOST_EVENTS
