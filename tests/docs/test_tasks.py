"""Run the commands of docs/tasks, and compare their output and the YAML shown."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.docs.pages import DOCS, ROOT, commands, run
from tests.journeys.installation import Installation
from tests.support.cluster import NAMESPACES, Cluster
from tests.support.eventually import wait_until

TASKS = sorted((DOCS / "tasks").glob("*.md"))
SAMPLES = ROOT / "config" / "samples" / "tasks"
GONE_SECONDS = 60.0  # until the namespaces of a page are gone, on a busy machine


@pytest.fixture
def empty(installation: Installation) -> Iterator[Cluster]:
    """The cluster of the installation; every namespace that the page makes goes at the end."""
    cluster = installation.cluster
    before = namespaces(cluster)
    yield cluster
    made = sorted(namespaces(cluster) - before)
    for namespace in made:
        cluster.kubectl("delete", "configmapsyncs", "--all", "-n", namespace, "--timeout=30s")
    cluster.kubectl("delete", "namespaces", *made, "--wait=false")
    wait_until(lambda: not (namespaces(cluster) - before), GONE_SECONDS)


def namespaces(cluster: Cluster) -> set[str]:
    return {item["metadata"]["name"] for item in cluster.get(NAMESPACES)["items"]}


@pytest.mark.timeout(600)  # it installs the operator, and one page waits for up to 90 s
@pytest.mark.parametrize("page", TASKS, ids=lambda page: page.stem)
def test_the_commands_of_a_task_print_what_the_page_shows(page: Path, empty: Cluster) -> None:
    found = commands(page)

    assert any(str(SAMPLES.relative_to(ROOT)) in command.line for command in found)
    for command in found:
        run(command, empty)


@pytest.mark.parametrize("page", TASKS, ids=lambda page: page.stem)
def test_the_sync_that_a_task_shows_is_the_one_of_its_sample(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    [shown] = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    [sample] = set(re.findall(r"config/samples/tasks/([\w-]+\.yaml)", text))

    documents = yaml.safe_load_all((SAMPLES / sample).read_text(encoding="utf-8"))
    assert yaml.safe_load(shown) in list(documents)


def test_every_sample_of_a_task_has_a_page() -> None:
    pages = (*TASKS, DOCS / "quick-start.md")
    shown = " ".join(page.read_text(encoding="utf-8") for page in pages)

    assert [path.name for path in SAMPLES.rglob("*.yaml") if path.name not in shown] == []
