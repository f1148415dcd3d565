"""Watch the ConfigMaps of the story and record when each version arrives.

The demo measures its times here, on one monotonic clock. The observer reads only and
takes no part in the syncing.
"""

import json
import threading
import time
from dataclasses import dataclass

from demo.terminal import Terminal


@dataclass(frozen=True)
class Sighting:
    """One version of a ConfigMap, with the monotonic time at which its event arrived."""

    at: float
    kind: str
    key: str
    data: dict[str, str]


class Observer:
    """Reads the watch of all ConfigMaps from `kubectl get --raw` in a thread."""

    def __init__(self, terminal: Terminal) -> None:
        self.sightings: list[Sighting] = []
        self._process = terminal.popen(
            "get",
            "--raw",
            "/api/v1/configmaps?watch=true&fieldSelector=metadata.name=shared-config",
        )
        threading.Thread(target=self._follow, daemon=True).start()

    def close(self) -> None:
        """Stop watching."""
        self._process.terminate()
        self._process.wait()

    def seen(self, key: str, name: str, value: str, since: float) -> float | None:
        """Return when the ConfigMap `key` first had `value` under `name` after `since`, or None.

        Times are in seconds on the monotonic clock.
        """
        times = (
            s.at
            for s in list(self.sightings)
            if s.at >= since and s.key == key and s.data.get(name) == value
        )
        return next(times, None)

    def _follow(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 - a pipe was requested above
        for line in self._process.stdout:
            now = time.monotonic()
            event = json.loads(line)
            metadata = event["object"]["metadata"]
            key = f"{metadata['namespace']}/{metadata['name']}"
            self.sightings.append(
                Sighting(now, event["type"], key, event["object"].get("data", {}))
            )
