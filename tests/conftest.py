"""Fixtures of every suite: clusters, namespaces, and processes that end with the test.

A test that takes `cluster` (or `namespace`, ...) runs once on each kind of cluster that
`--cluster` selects, and must pass on each. `only_on` marks tests for one kind. The
modules in `support/` start the clusters.
"""

import asyncio
import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, settings

from tests.journeys.installation import Installation, installed
from tests.support.cluster import Cluster, Kind
from tests.support.clusters import KINDS, NoSuchClusterError, chosen, started
from tests.support.logging_state import restored_logging
from tests.support.long_steps import LONGEST_STEP_SECONDS, LongSteps
from tests.support.processes import Process

CLUSTER_HELP = (
    "the API server of the tests. devcluster: the one in memory. real: etcd, kube-apiserver and, "
    "if present, kube-controller-manager from KUBEBUILDER_ASSETS or /usr/local/kubebuilder/bin. "
    "existing: the current context of the kubeconfig that KUBECONFIG names. Default: devcluster, "
    "and then real if its programs are found."
)
SWEEP_RUNS = "sweep runs"  # the property with the number of runs
CHOSEN = pytest.StashKey[tuple[Kind, ...]]()
# By default an example may take 200 ms, and ten of them a second to generate: a busy machine needs
# longer now and then.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--cluster", choices=KINDS, default=None, help=CLUSTER_HELP)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "only_on(*kinds): runs only on these kinds of cluster")
    config.addinivalue_line(
        "markers", "long_steps(reason): a step of the product may hold the event loop here"
    )
    try:
        config.stash[CHOSEN] = chosen(config.getoption("--cluster"))
    except NoSuchClusterError as problem:
        raise pytest.UsageError(str(problem)) from problem


def pytest_sessionstart() -> None:
    """Declare that there is no event loop outside of async tests.

    looptime asks for one, and Python before 3.14 would create a loop that no code closes. The
    warning about it would fail the run. Tracebacks in logs are plain, as in the product:
    rendering the values of local variables takes longer than a step may.
    """
    asyncio.set_event_loop(None)
    console = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*structlog.get_config()["processors"][:-1], console])


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test that takes a cluster once on each kind."""
    if "cluster" not in metafunc.fixturenames:
        return
    only_on = next(metafunc.definition.iter_markers("only_on"), None)
    allowed = KINDS if only_on is None else only_on.args
    kinds = [
        kind
        if kind in allowed
        else pytest.param(kind, marks=pytest.mark.skip(f"only on {' or '.join(allowed)}"))
        for kind in metafunc.config.stash[CHOSEN]
    ]
    metafunc.parametrize("cluster", kinds, indirect=True, scope="session")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how many runs of the sweep (`tests/sweep`) all tests together executed."""
    reports = (
        report
        for outcome in ("passed", "failed")
        for report in terminalreporter.getreports(outcome)
        if report.when == "call"
    )
    counts = [
        count for report in reports for name, count in report.user_properties if name == SWEEP_RUNS
    ]
    if counts:
        terminalreporter.write_line(f"{sum(counts)} runs of the sweep in {len(counts)} tests")


@pytest.fixture(scope="session")
def _start_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Kind], Cluster]]:
    """Start each kind of cluster at first use and keep it until the end of the run."""
    running: dict[Kind, Cluster] = {}
    with contextlib.ExitStack() as until_the_end:

        def start(kind: Kind) -> Cluster:
            if kind not in running:
                running[kind] = until_the_end.enter_context(
                    started(kind, tmp_path_factory.mktemp(kind))
                )
            return running[kind]

        yield start


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest, _start_cluster: Callable[[Kind], Cluster]) -> Cluster:
    """An API server and its admin, shared by all tests of the run."""
    return _start_cluster(request.param)


@pytest.fixture(autouse=True)
def _controllers_where_needed(request: pytest.FixtureRequest) -> None:
    if "cluster" in request.fixturenames and request.node.get_closest_marker("controllers"):
        running: Cluster = request.getfixturevalue("cluster")
        if not running.has_controllers:
            pytest.skip("needs kube-controller-manager beside kube-apiserver and etcd")


@pytest.fixture(autouse=True)
def _restored_logging() -> Iterator[None]:
    """Keep a test that runs a program in this process from changing the logs of later tests."""
    with restored_logging():
        yield


@pytest.fixture(autouse=True)
def _no_long_steps(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test in which one step of the product holds the event loop for more than 100 ms.

    Coverage makes a step some four times as long.
    """
    steps = LongSteps(limit_seconds=LONGEST_STEP_SECONDS * (4 if sys.gettrace() else 1))
    with steps.installed():
        yield
    if request.node.get_closest_marker("long_steps") is None:
        assert not steps.found, f"held the event loop: {'; '.join(steps.found)}"


@pytest.fixture
def fresh_cluster(cluster: Cluster, tmp_path: Path) -> Iterator[Cluster]:
    """A cluster of the same kind for this test alone, which may break it."""
    if cluster.kind == "existing":
        pytest.skip("the tests do not break an existing cluster")
    folder = tmp_path / "cluster"
    folder.mkdir()
    with started(cluster.kind, folder) as own:
        yield own


@pytest.fixture(scope="module")
def installation(
    cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """The operator, installed as `make deploy` does, on a cluster of its own.

    All tests of a module share it, and each restores what it changes.
    """
    if cluster.kind == "existing":
        pytest.skip("an existing cluster is not for installations of tests")
    with installed(cluster.kind, tmp_path_factory.mktemp("installation")) as made:
        yield made


@pytest.fixture
def new_namespace(cluster: Cluster) -> Iterator[Callable[..., str]]:
    """Create namespaces for this test.

    `new_namespace(prefix="team-a", labels={...})` returns the unique name.
    """
    yield cluster.new_namespace
    cluster.remove_namespaces()


@pytest.fixture
def namespace(new_namespace: Callable[..., str]) -> str:
    """A namespace for this test."""
    return new_namespace()


@pytest.fixture
def start_process(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Start programs of the project.

    `start_process("reconciler", "--kubeconfig", path)` runs `python -m reconciler ...`. The
    processes end with the test, and a failed test shows their output.
    """
    running: list[Process] = []

    def start(
        module: str, *arguments: str | Path, environment: dict[str, str] | None = None
    ) -> Process:
        log = tmp_path / f"{module}-{len(running)}.log"
        running.append(Process.python(module, *arguments, log=log, environment=environment))
        return running[-1]

    yield start
    for process in reversed(running):
        process.stop()
        print(process.explain("its log")[-20_000:])  # noqa: T201 - pytest shows it under a failure only
