"""Draw docs/dashboard.png with `python -m tests.prometheus.picture`.

Run it by hand after a change of the dashboard. The real processes run on devcluster for
four minutes, a Prometheus scrapes them and answers the queries of the panels,
`drawing.py` draws the answers, and Chromium makes a PNG. It needs the programs
`prometheus` and `chromium`.
"""

import itertools
import json
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import yaml

from configmapsync.names import API_VERSION, KIND, PLURAL
from tests.journeys.accounts import NAMESPACE, kubeconfig_of
from tests.journeys.conftest import install_crd
from tests.journeys.stage import Stage
from tests.journeys.webhook_process import running_webhook
from tests.prometheus.drawing import draw
from tests.prometheus.promtool import ROOT
from tests.support.cluster import Cluster
from tests.support.clusters import started
from tests.support.processes import LOCAL_ADDRESS, Process, free_port

PICTURE = ROOT / "docs" / "dashboard.png"
DASHBOARD = ROOT / "config" / "prometheus" / "dashboard.json"
RUN_SECONDS = 240
STEP_SECONDS = 2
RATE_INTERVAL = "15s"
WIDTH = 1200  # pixels
TEAMS = 40
SOURCES = ("config", "limits", "flags")


def main() -> None:
    """Run the processes and draw the picture."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as until_the_end:
        folder = Path(name)
        (folder / "cluster").mkdir()
        cluster = until_the_end.enter_context(started("devcluster", folder / "cluster"))
        targets = until_the_end.enter_context(operator(cluster, folder))
        prometheus = until_the_end.enter_context(scraping(targets, folder))
        began = now()
        run(cluster, began + RUN_SECONDS)
        page = folder / "dashboard.html"
        page.write_text(
            draw(
                json.loads(DASHBOARD.read_text()),
                lambda query: ask(prometheus, query, began, now()),
                WIDTH,
            )
        )
        photograph(page, PICTURE)
    sys.stdout.write(f"{PICTURE} {PICTURE.stat().st_size} bytes\n")


@contextmanager
def operator(cluster: Cluster, folder: Path) -> Iterator[dict[str, int]]:
    """Run two reconcilers and a webhook; yield their metrics ports by name."""
    install_crd(cluster)
    with running_webhook(cluster, folder) as webhook:
        ports = {"reconciler-0": free_port(), "reconciler-1": free_port()}
        processes = [
            Process.python(
                "reconciler",
                *(
                    "--kubeconfig",
                    kubeconfig_of(cluster, "reconciler"),
                    "--health-address",
                    f"{LOCAL_ADDRESS}:{port}",
                ),
                *("--leader-elect", "--leader-election-namespace", NAMESPACE),
                log=folder / f"{name}.log",
            )
            for name, port in ports.items()
        ]
        try:
            for process, port in zip(processes, ports.values(), strict=True):
                process.wait_until_answering(f"http://{LOCAL_ADDRESS}:{port}/healthz")
            yield {**ports, "webhook-0": webhook.health_port}
        finally:
            for process in processes:
                process.stop()


@contextmanager
def scraping(targets: dict[str, int], folder: Path) -> Iterator[str]:
    """Run a Prometheus with the labels of the ServiceMonitor; yield its URL."""
    jobs = [
        {
            "job_name": name,
            "static_configs": [
                {
                    "targets": [f"{LOCAL_ADDRESS}:{port}"],
                    "labels": {
                        "job": f"configmapsync-{name.split('-')[0]}",
                        "namespace": NAMESPACE,
                        "pod": name,
                    },
                }
            ],
        }
        for name, port in targets.items()
    ]
    configuration = folder / "prometheus.yaml"
    configuration.write_text(
        yaml.safe_dump({"global": {"scrape_interval": "1s"}, "scrape_configs": jobs})
    )
    port = free_port()
    program = shutil.which("prometheus")
    assert program, "needs prometheus: apt-get install prometheus"
    process = Process(
        [
            program,
            f"--config.file={configuration}",
            f"--storage.tsdb.path={folder / 'series'}",
            f"--web.listen-address={LOCAL_ADDRESS}:{port}",
        ],
        folder / "prometheus.log",
    )
    try:
        process.wait_until_answering(f"http://{LOCAL_ADDRESS}:{port}/-/ready")
        yield f"http://{LOCAL_ADDRESS}:{port}"
    finally:
        process.stop()


def run(cluster: Cluster, until: float) -> None:
    """Edit sources and copies until `until`.

    The second quarter adds a destination that is taken, and the third fails the writes to one
    namespace. The webhook refuses some requests all the time.
    """
    stage = Stage(cluster, cluster.new_namespace)
    home, taken = stage.namespace("central"), stage.namespace("taken")
    teams = [stage.namespace(f"team-{number}", {"config": "shared"}) for number in range(TEAMS)]
    for name in SOURCES:
        stage.source(home, name)
        stage.sync(
            home,
            configMapName=name,
            destinationNamespaceSelector={"matchLabels": {"config": "shared"}},
        )
    stage.put_configmap(taken, "config", data={"managed": "by hand"})
    quarter = (until - now()) / 4
    edit(stage, home, teams, until - 3 * quarter)
    stage.sync(home, destinationNamespace=taken)
    edit(stage, home, teams, until - 2 * quarter)
    where = {"verb": "write", "resource": "configmaps", "namespace": teams[0]}
    cluster.create("/devcluster/faults", {"action": "fail", "status": 500, **where})
    edit(stage, home, teams, until - quarter)
    cluster.delete("/devcluster/faults")
    edit(stage, home, teams, until)


def edit(stage: Stage, home: str, teams: list[str], until: float) -> None:
    """Edit sources, damage copies, and send requests that the webhook refuses."""
    for number in itertools.count():
        if now() >= until:
            return
        stage.edit(home, SOURCES[number % len(SOURCES)], data={"edit": f"{now()}"})
        if number % 4 == 0:
            stage.edit(teams[1 + number % (TEAMS - 1)], "config", data={"edit": "drift"})
        itself = {
            "configMapName": "config",
            "destinationNamespace": home if number % 3 else teams[1],
        }
        document = {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": {"name": "tried"},
            "spec": itself,
        }
        stage.cluster.request(
            "POST", f"/apis/{API_VERSION}/namespaces/{home}/{PLURAL}?dryRun=All", document
        )
        time.sleep(0.5)  # noqa: TID251 - a script that waits between edits


def ask(prometheus: str, query: str, start: float, end: float) -> list[dict[str, Any]]:
    """Return the result of a query of the dashboard for a time range."""
    expression = query.replace("$__rate_interval", RATE_INTERVAL).replace("$namespace", ".*")
    parameters = urllib.parse.urlencode(
        {"query": expression, "start": start, "end": end, "step": STEP_SECONDS}
    )
    with urllib.request.urlopen(  # noqa: S310 - a local address
        f"{prometheus}/api/v1/query_range?{parameters}", timeout=30
    ) as answer:
        result: list[dict[str, Any]] = json.load(answer)["data"]["result"]
    return result


def photograph(page: Path, picture: Path) -> None:
    """Render a page as a PNG with Chromium, in the size of the page."""
    program = shutil.which("chromium")
    assert program, "needs chromium: apt-get install chromium"
    height = int(page.read_text().split("height='", 1)[1].split("'", 1)[0])
    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        f"--window-size={WIDTH},{height}",
    ]
    subprocess.run(
        [program, *options, f"--screenshot={picture}", page.as_uri()],
        check=True,
        capture_output=True,
        timeout=120,
    )
    if smaller := shutil.which("pngquant"):
        subprocess.run(
            [smaller, "--force", "--output", picture, "64", picture], check=True, timeout=60
        )


def now() -> float:
    """Return the wall-clock time, which Prometheus uses."""
    return time.time()  # noqa: TID251 - a script of its own


if __name__ == "__main__":
    main()
