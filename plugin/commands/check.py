"""The command `check`: every rule of the CRD and of admission, for files.

`plugin/checks/` finds, this module prints. It is made for pipelines: one line for each
finding, in the form that editors and annotations of CI systems read.
"""

import sys
from collections.abc import Iterable

import click

from kube.connection import ConnectionSettings
from plugin.checks import live, shape
from plugin.checks.findings import Finding, Severity
from plugin.checks.live import Checked
from plugin.checks.manifests import Manifest, read
from plugin.checks.references import Known, References
from plugin.cluster import problems, run
from plugin.options import cluster_options, errors_end_with, filename_option, output_option
from plugin.terminal import counted, printable, show

EXIT_FINE, EXIT_FINDINGS, EXIT_FAILURE = 0, 1, 2


@click.command()
@click.argument("files", nargs=-1, metavar="[PATH]...")
@filename_option("YAML or JSON file or folder, or - for standard input; may be repeated")
@click.option(
    "--cluster",
    "against_cluster",
    is_flag=True,
    help="check against the cluster as well: its namespaces and syncs, your rights, its webhook",
)
@click.option("--strict", is_flag=True, help="end with 1 after a warning, too")
@output_option("text", "json", default="text")
@cluster_options
def command(
    cluster: ConnectionSettings,
    files: tuple[str, ...],
    filename: tuple[str, ...],
    output: str,
    *,
    against_cluster: bool,
    strict: bool,
) -> None:
    """Check files by every rule of the CRD and of admission.

    Without --cluster nothing outside of the files is known: other namespaces and sources are
    assumed to exist, and rights are not checked.

    Exit code: 0 without an error, 1 with one, 2 if the files or the cluster cannot be read.
    """
    if not (files or filename):
        raise click.UsageError("name files or folders, or - for standard input")
    with errors_end_with(EXIT_FAILURE), problems():
        manifests, findings, count = read((*filename, *files))
        checked, invalid = _shapes(manifests)
        findings += invalid
        known = Known()
        if against_cluster:
            known, answers = run(cluster, lambda reader: live.ask(reader, checked))
            findings += answers
    references = References(known, manifests)
    for manifest, sync in checked:
        findings += references.check(manifest, sync)
    found = sorted(set(findings))
    show(found, (printable(str(finding)) for finding in found), output)
    errors = sum(finding.severity is Severity.ERROR for finding in found)
    syncs = sum(manifest.is_sync for manifest in manifests)
    warnings = len(found) - errors
    found_here = f"{counted(syncs, 'sync')} of {counted(count, 'file')}"
    summary = f"{counted(errors, 'error')} and {counted(warnings, 'warning')} in {found_here}"
    click.echo(summary, err=True)
    sys.exit(EXIT_FINDINGS if errors or (strict and warnings) else EXIT_FINE)


def _shapes(manifests: Iterable[Manifest]) -> tuple[list[Checked], list[Finding]]:
    """Return the syncs that are valid alone, and the findings of the others."""
    checked: list[Checked] = []
    findings: list[Finding] = []
    for manifest in manifests:
        if manifest.is_sync:
            sync, found = shape.check(manifest)
            findings += found
            if sync is not None:
                checked.append((manifest, sync))
    return checked, findings
