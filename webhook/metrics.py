"""What the webhook counts, on its own registry; `/metrics` of the health server prints it."""

from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

# The bar is 10 ms of own time; the API server gives up after 5 s.
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Metrics:
    """One object for one process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.reviews = Counter(
            "configmapsync_admission_reviews",
            "Admission reviews answered, by path, operation and outcome.",
            ["path", "operation", "outcome"],
            registry=registry,
        )
        self.seconds = Histogram(
            "configmapsync_admission_seconds",
            "Time to answer an admission review, waiting for the API server included.",
            ["path"],
            buckets=SECONDS,
            registry=registry,
        )
        self.access_reviews = Counter(
            "configmapsync_access_reviews",
            "Questions to the API server on what a user may do, by answer.",
            ["answer"],
            registry=registry,
        )
        self._expiry = Gauge(
            "configmapsync_certificate_expiry_timestamp_seconds",
            "End of the serving certificate's life, by the serial that is served.",
            ["serial"],
            registry=registry,
        )

    def certificate_served(self, serial: str, expires: datetime) -> None:
        """Tell which certificate new connections get; there is one at a time."""
        self._expiry.clear()
        self._expiry.labels(serial).set(expires.timestamp())

    def access_review_answered(self, allowed: bool) -> None:
        """Count an answer on what somebody may do."""
        self.access_reviews.labels("allowed" if allowed else "denied").inc()
