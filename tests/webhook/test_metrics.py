"""Every series with a known label exists from the start, with value 0.

Otherwise the first failure would not be an increase.
"""

import pytest
from prometheus_client import CollectorRegistry

from webhook.metrics import Metrics

WEBHOOK = "/validate"


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("controller_runtime_webhook_requests_total", {"webhook": WEBHOOK, "code": "500"}),
        ("controller_runtime_webhook_requests_in_flight", {"webhook": WEBHOOK}),
        ("controller_runtime_webhook_latency_seconds_count", {"webhook": WEBHOOK}),
        ("configmapsync_access_reviews_total", {"answer": "denied"}),
        ("certwatcher_read_certificate_errors_total", {}),
        *(
            (
                "configmapsync_admission_reviews_total",
                {"webhook": WEBHOOK, "operation": operation, "outcome": outcome},
            )
            for operation in ("CREATE", "UPDATE")
            for outcome in ("refused", "undecided")
        ),
    ],
)
def test_every_series_exists_from_the_start(name: str, labels: dict[str, str]) -> None:
    registry = CollectorRegistry()
    Metrics(registry).serves(WEBHOOK)

    assert registry.get_sample_value(name, labels) == 0
