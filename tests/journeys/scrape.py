"""Read a process's `/metrics` as Prometheus does."""

from collections.abc import Iterator
from urllib.request import urlopen

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from tests.support.eventually import wait_until
from tests.support.processes import LOCAL_ADDRESS

# A process serves a text for 20 times as long as its rendering took, also on a busy machine.
NEWER_SECONDS = 60.0


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
    return Scrape(metrics_of(port))


def metrics_of(port: int) -> str:
    """Return a text of `/metrics` that the process renders after this call.

    The first answer may be the text of an earlier scrape. The CPU time and the lag of the event
    loop differ in each rendering, so the next text is newer than this call.
    """
    first = _answer(port)

    def newer() -> str:
        text = _answer(port)
        assert text != first, "the process still serves the text of an earlier scrape"
        return text

    return wait_until(newer, NEWER_SECONDS)


def _answer(port: int) -> str:
    with urlopen(f"http://{LOCAL_ADDRESS}:{port}/metrics", timeout=10) as answer:
        return str(answer.read().decode())
