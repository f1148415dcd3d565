"""Check that scraped targets have the job names of the alerts and the dashboard."""

import json
import re

from tests.prometheus.promtool import ROOT, RULES
from tests.support.manifests import CONFIG, build, named, of_kind

ASKED = re.compile(r'job=(~?)\\?"([^"\\]+)\\?"')
JOBS = {"configmapsync-reconciler", "configmapsync-webhook"}


def test_alerts_and_dashboard_use_the_job_names_of_the_service_monitor() -> None:
    monitor = named(build(CONFIG / "prometheus"), "ServiceMonitor", "metrics")
    (relabeling,) = [
        each
        for each in monitor["spec"]["endpoints"][0]["relabelings"]
        if each["targetLabel"] == "job"
    ]
    assert relabeling["sourceLabels"] == [
        "__meta_kubernetes_service_label_app_kubernetes_io_component"
    ]
    scraped = [
        service["metadata"]["labels"]["app.kubernetes.io/component"]
        for service in of_kind(build(), "Service")
        if any(
            port["name"] == monitor["spec"]["endpoints"][0]["port"]
            for port in service["spec"]["ports"]
        )
    ]

    assert {relabeling["replacement"].replace("$1", component) for component in scraped} == JOBS
    dashboard = json.loads((ROOT / "config" / "prometheus" / "dashboard.json").read_text())
    asked = ASKED.findall(RULES.read_text() + json.dumps(dashboard))
    assert asked
    for kind, job in asked:
        assert re.fullmatch(job, "configmapsync-webhook") or job in JOBS if kind else job in JOBS, (
            job
        )


def test_the_dashboard_config_map_has_the_label_for_grafana() -> None:
    applied = named(build(CONFIG / "prometheus"), "ConfigMap", "dashboard")

    assert applied["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert json.loads(applied["data"]["dashboard.json"])["title"] == "ConfigMapSync"
