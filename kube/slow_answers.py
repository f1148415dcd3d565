"""Log that the API server answers slowly.

`connection.py` reports every answer to it. It must not know what was requested.
"""

import structlog

# Requests for one object take milliseconds. From here on, edits reach their copies late.
SLOW_SECONDS = 1.0
INTERVAL_SECONDS = 60.0


class SlowAnswers:
    """Logs a slow answer, at most once a minute, because all answers may be slow."""

    def __init__(self) -> None:
        self._quiet_until = float("-inf")
        self._log = structlog.get_logger("connection")

    def answered(self, verb: str, seconds: float, now: float) -> None:
        """Take the duration of one request.

        Args:
            verb: the HTTP method.
            seconds: until the answer began.
            now: on any monotonic clock.
        """
        if seconds < SLOW_SECONDS or now < self._quiet_until:
            return
        self._quiet_until = now + INTERVAL_SECONDS
        self._log.warning("API server answers slowly", verb=verb, seconds=round(seconds, 1))
