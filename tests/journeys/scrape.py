"""Read a process's `/metrics` as Prometheus does."""

from collections.abc import Iterator
from urllib.request import urlopen

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from tests.support.processes import LOCAL_ADDRESS


class Scrape:
    """One scrape of one process."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.families: dict[str, Metric] = {
            family.name: family for family in text_string_to_metric_families(text)
        }

    def samples(self) -> Iterator[Sample]:
        """Return every series with its value."""
        for family in self.families.values():
            yield from family.samples

    def value(self, name: str, /, **labels: str) -> float:
        """Return the sum of the series of that name with these labels; 0.0 without any."""
        return sum(
            sample.value
            for sample in self.samples()
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def by(self, label: str, name: str) -> dict[str, float]:
        """Return the values that are not 0, by one label."""
        return {
            sample.labels[label]: sample.value
            for sample in self.samples()
            if sample.name == name and sample.value
        }


def scrape(port: int) -> Scrape:
    """Scrape the process whose health server listens on `port`."""
    with urlopen(f"http://{LOCAL_ADDRESS}:{port}/metrics", timeout=10) as answer:
        return Scrape(answer.read().decode())
