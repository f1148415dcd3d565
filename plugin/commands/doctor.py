"""The command `doctor`: examine an installation and name a remedy for each finding.

The checks are in `plugin/doctor/`. This module runs them and prints.
"""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime

import click

from configmapsync.explanations import OPERATOR_NAMESPACE
from kube.connection import ConnectionSettings
from plugin.cluster import run
from plugin.doctor.examination import examine
from plugin.doctor.findings import Finding, Level, Patient
from plugin.options import cluster_options, output_option
from plugin.terminal import printable, show

SIGNS = {
    Level.OK: ("✓", "green"),
    Level.WARNING: ("!", "yellow"),
    Level.FAILURE: ("✗", "red"),
    Level.SKIPPED: ("-", "cyan"),
}
TOPIC_WIDTH = 14
EXIT_FAILURE = 1


@click.command()
@click.option(
    "--operator-namespace",
    default=OPERATOR_NAMESPACE,
    metavar="NAME",
    show_default=True,
    help="the namespace of the operator",
)
@click.option(
    "--metrics-url",
    default="",
    metavar="URL",
    help="metrics of the reconciler at a forwarded port, such as http://127.0.0.1:8081/metrics",
)
@output_option("text", "json", "yaml", default="text")
@cluster_options
def command(
    cluster: ConnectionSettings, operator_namespace: str, metrics_url: str, output: str
) -> None:
    """Examine the installation, with a remedy for each finding.

    It checks the CRD, the webhook and its certificates, the rights of each account, the leader,
    the watches, blocked destinations and orphans. It writes nothing: the webhook is asked in a
    dry run. Exit code: 1 if a check fails, else 0.
    """
    now = datetime.now(UTC)  # noqa: TID251 - the entry point
    findings = run(
        cluster, lambda reader: examine(Patient(reader, operator_namespace, now, metrics_url))
    )
    show(findings, (line for finding in findings for line in _lines(finding)), output)
    if any(finding.level is Level.FAILURE for finding in findings):
        sys.exit(EXIT_FAILURE)


def _lines(finding: Finding) -> Iterator[str]:
    sign, color = SIGNS[finding.level]
    topic = f"{finding.topic:<{TOPIC_WIDTH}}"
    yield f"{click.style(sign, fg=color)} {topic} {printable(finding.message)}"
    if finding.remedy:
        yield f"  {'':<{TOPIC_WIDTH}} -> {printable(finding.remedy)}"
