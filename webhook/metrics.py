"""What the webhook counts, in controller-runtime's names where it has the same thing.

What every process counts is in `runtime/metrics.py`; `docs/metrics.md` lists all. Labels are words of ours, of Kubernetes and of HTTP.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import product

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

# The bar is 10 ms of own time; the API server gives up after 5 s.
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)

OPERATIONS = ("CREATE", "UPDATE")  # those that we are registered for
OUTCOMES = (
    "allowed",
    "patched",
    "exempt",
    "refused",
    "undecided",
    "throttled",
)  # the words of `admission.py`

ALLOWED, DENIED = ANSWERS = ("allowed", "denied")


class Metrics:
    """One object for one process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._reviews = Counter(
            "configmapsync_admission_reviews",
            "Admission reviews judged, by webhook, operation and outcome.",
            ["webhook", "operation", "outcome"],
            registry=registry,
        )
        self._requests = Counter(
            "controller_runtime_webhook_requests",
            "Admission requests by webhook and status code; what is judged is a 200, allowed or not.",
            ["webhook", "code"],
            registry=registry,
        )
        self._in_flight = Gauge(
            "controller_runtime_webhook_requests_in_flight",
            "Admission requests that are being answered now.",
            ["webhook"],
            registry=registry,
        )
        self._seconds = Histogram(
            "controller_runtime_webhook_latency_seconds",
            "Time to answer an admission request, waiting for the API server included.",
            ["webhook"],
            buckets=SECONDS,
            registry=registry,
        )
        self._access_reviews = Counter(
            "configmapsync_access_reviews",
            "Questions to the API server on what a user may do, by answer.",
            ["answer"],
            registry=registry,
        )
        for answer in ANSWERS:
            self._access_reviews.labels(answer)
        self._certificates = Counter(
            "certwatcher_read_certificate",
            "Certificates that were read and are served since.",
            registry=registry,
        )
        self._certificate_errors = Counter(
            "certwatcher_read_certificate_errors",
            "Looks, four a second, that found no certificate which can be served; an older one may be served on.",
            registry=registry,
        )
        self._expiry = Gauge(
            "configmapsync_certificate_expiry_timestamp_seconds",
            "End of the serving certificate's life, by the serial that is served.",
            ["serial"],
            registry=registry,
        )

    def serves(self, webhook: str) -> None:
        """Have the series of a webhook there from the start: its first failure must be an increase."""
        self._seconds.labels(webhook)
        self._in_flight.labels(webhook)
        for code in (200, 500):
            self._requests.labels(webhook, str(code))
        for operation, outcome in product(OPERATIONS, OUTCOMES):
            self._reviews.labels(webhook, operation, outcome)

    @contextmanager
    def answering(self, webhook: str) -> Iterator[None]:
        """Measure a request while it is answered."""
        with (
            self._seconds.labels(webhook).time(),
            self._in_flight.labels(webhook).track_inprogress(),
        ):
            yield

    def answered(self, webhook: str, code: int) -> None:
        """Count a request that was answered."""
        self._requests.labels(webhook, str(code)).inc()

    def checked(self, webhook: str, operation: str, outcome: str) -> None:
        """Count a review that got its answer."""
        self._reviews.labels(webhook, operation, outcome).inc()

    def certificate_served(self, serial: str, expires: datetime) -> None:
        """Tell which certificate new connections get; there is one at a time."""
        self._certificates.inc()
        self._expiry.clear()
        self._expiry.labels(serial).set(expires.timestamp())

    def certificate_unusable(self) -> None:
        """Count a look that found nothing to serve."""
        self._certificate_errors.inc()

    def access_review_answered(self, allowed: bool) -> None:
        """Count an answer on what somebody may do."""
        self._access_reviews.labels(ALLOWED if allowed else DENIED).inc()
