"""Define the metrics of the webhook.

`app.py` builds them; `server.py`, `certwatcher.py` and `authorization.py` count with
them. Metrics that exist in controller-runtime have its names. `runtime/metrics.py`
defines those of every process; `docs/metrics.md` lists all. Labels never hold names
that users choose.
"""

from collections.abc import Awaitable
from datetime import datetime
from itertools import product

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

# Buckets. The bar is 10 ms of own time; the API server gives up after 5 s.
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)

# The operations of the webhook configurations.
OPERATIONS = ("CREATE", "UPDATE")
# As of `admission.py`.
OUTCOMES = ("allowed", "patched", "exempt", "refused", "undecided", "throttled")


class Metrics:
    """The metrics of one process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._reviews = Counter(
            "configmapsync_admission_reviews",
            "Admission reviews answered, by webhook, operation and outcome.",
            ["webhook", "operation", "outcome"],
            registry=registry,
        )
        self._requests = Counter(
            "controller_runtime_webhook_requests",
            "Admission requests by webhook and HTTP status; allowed and denied reviews are 200.",
            ["webhook", "code"],
            registry=registry,
        )
        self._in_flight = Gauge(
            "controller_runtime_webhook_requests_in_flight",
            "Admission requests in flight.",
            ["webhook"],
            registry=registry,
        )
        self._seconds = Histogram(
            "controller_runtime_webhook_latency_seconds",
            "Seconds to answer an admission request, waiting for the API server included.",
            ["webhook"],
            buckets=SECONDS,
            registry=registry,
        )
        self._access_reviews = Counter(
            "configmapsync_access_reviews",
            "SubjectAccessReviews sent to the API server, by answer.",
            ["answer"],
            registry=registry,
        )
        for answer in ("allowed", "denied"):
            self._access_reviews.labels(answer)
        self._certificates = Counter(
            "certwatcher_read_certificate",
            "Certificates that were loaded and served.",
            registry=registry,
        )
        self._certificate_errors = Counter(
            "certwatcher_read_certificate_errors",
            "Failed reads of the certificate, four a second; the previous one stays in service.",
            registry=registry,
        )
        self._expiry = Gauge(
            "configmapsync_certificate_expiry_timestamp_seconds",
            "Expiry of the certificate that is served, by its serial.",
            ["serial"],
            registry=registry,
        )

    def serves(self, webhook: str) -> None:
        """Create the series of a webhook with value 0.

        Otherwise its first failure would not be an increase.
        """
        self._seconds.labels(webhook)
        self._in_flight.labels(webhook)
        for code in ("200", "500"):
            self._requests.labels(webhook, code)
        for operation, outcome in product(OPERATIONS, OUTCOMES):
            self._reviews.labels(webhook, operation, outcome)

    async def measure(
        self, webhook: str, answer: Awaitable[web.StreamResponse]
    ) -> web.StreamResponse:
        """Await the answer to a request; count it in flight, by duration and by HTTP status."""
        with (
            self._seconds.labels(webhook).time(),
            self._in_flight.labels(webhook).track_inprogress(),
        ):
            response = await answer
        self._requests.labels(webhook, str(response.status)).inc()
        return response

    def checked(self, webhook: str, operation: str, outcome: str) -> None:
        """Count a review by its outcome."""
        self._reviews.labels(webhook, operation, outcome).inc()

    def certificate_served(self, serial: str, expires: datetime) -> None:
        """Export the expiry of the certificate that new connections receive."""
        self._certificates.inc()
        self._expiry.clear()
        self._expiry.labels(serial).set(expires.timestamp())

    def certificate_unusable(self) -> None:
        """Count a failed read of the certificate."""
        self._certificate_errors.inc()

    def access_review_answered(self, allowed: bool) -> None:
        """Count an answer to an access review."""
        self._access_reviews.labels("allowed" if allowed else "denied").inc()
