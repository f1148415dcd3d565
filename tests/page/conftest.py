"""Fixtures of the browser tests: Chromium, and two reconcilers that serve the page."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, expect

from tests.journeys.accounts import NAMESPACE, kubeconfig_of
from tests.journeys.conftest import install_crd
from tests.page import chromium, scene
from tests.page.chromium import Window
from tests.reconciler.page.bench import Bench, FakeElector, serving
from tests.support.cluster import Cluster
from tests.support.clusters import started
from tests.support.processes import LOCAL_ADDRESS, Process, free_port

EXPECT_MILLISECONDS = 20_000  # for a loaded machine; an expectation that holds returns at once


@dataclass(frozen=True)
class Site:
    """A cluster with a scene, and the pages of its reconcilers.

    Attributes:
        cluster: the cluster.
        leader: URL of the leader's page.
        standby: URL of the other replica's page.
    """

    cluster: Cluster
    leader: str
    standby: str


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A running Chromium."""
    path = chromium.program()
    if path is None:
        pytest.skip("there is no Chromium: install Debian's package chromium")
    expect.set_options(timeout=EXPECT_MILLISECONDS)
    with chromium.running(path) as made:
        yield made


@pytest.fixture
def window(browser: Browser) -> Iterator[Callable[..., Window]]:
    """Open windows that end with the test."""
    with ExitStack() as until_the_end:

        def make(**options: object) -> Window:
            made = Window(browser, **options)  # type: ignore[arg-type]
            until_the_end.callback(made.close)
            return made

        yield make


@pytest.fixture(scope="module")
def site(
    browser: Browser, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """A cluster of its own with the scene and two replicas, of which the first one leads."""
    if cluster.kind == "existing":
        pytest.skip("the scene needs namespaces with fixed names")
    folder = tmp_path_factory.mktemp("site")
    with ExitStack() as until_the_end:
        own = until_the_end.enter_context(started(cluster.kind, tmp_path_factory.mktemp("cluster")))
        install_crd(own)
        scene.create(own)
        pages = []
        for number in (1, 2):
            page, health = f"{LOCAL_ADDRESS}:{free_port()}", f"{LOCAL_ADDRESS}:{free_port()}"
            process = Process.python(
                *("reconciler", "--kubeconfig", kubeconfig_of(own, "reconciler")),
                *("--health-address", health, "--page-address", page),
                *("--leader-elect", "--leader-election-namespace", NAMESPACE),
                log=folder / f"reconciler-{number}.log",
            )
            until_the_end.callback(process.stop)
            process.wait_until_answering(f"http://{health}/readyz")
            if number == 1:
                scene.wait(own)
            pages.append(f"http://{page}")
        yield Site(own, *pages)


class Thread:
    """A page over caches that a test fills, on an event loop of its own thread."""

    def __init__(self, *, synced: bool = True) -> None:
        """Start the thread and the page."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._serving = serving(FakeElector(), synced=synced)
        self.bench: Bench = self._run(self._serving.__aenter__())
        self.url = f"http://{self.bench.address}"

    def call(self, function: Callable[[Bench], object]) -> None:
        """Change the caches on the thread of the page."""

        async def calling() -> None:
            function(self.bench)

        self._run(calling())

    def close(self) -> None:
        """Stop the page and the thread."""
        self._run(self._serving.__aexit__(None, None, None))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, coroutine: object) -> object:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(60)  # type: ignore[arg-type]


@pytest.fixture
def serve(browser: Browser) -> Iterator[Callable[..., Thread]]:
    """Serve pages over caches that the test fills."""
    with ExitStack() as until_the_end:

        def start(**options: bool) -> Thread:
            made = Thread(**options)
            until_the_end.callback(made.close)
            return made

        yield start
