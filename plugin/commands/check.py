"""The command `check`: every rule of the CRD and of admission, for files.

`plugin/checks/` finds, this module prints. It is made for pipelines: one line for each
finding, in the form that editors and annotations of CI systems read.
"""

import sys
from collections.abc import Iterable

import click

from dryrun.texts import UnreadableFileError
from plugin.checks import live, shape
from plugin.checks.findings import Finding, Severity
from plugin.checks.live import Checked
from plugin.checks.manifests import Manifest, read
from plugin.checks.references import Known, References, add_files
from plugin.cluster import ClusterProblem, connect, run
from plugin.options import ClusterOptions, cluster_options, output_option
from plugin.progress import Progress
from plugin.terminal import counted, printable, rendered

EXIT_FINE, EXIT_FINDINGS, EXIT_FAILURE = 0, 1, 2


class CheckProblem(click.ClickException):
    """Why files or a cluster cannot be checked."""

    exit_code = EXIT_FAILURE


@click.command()
@click.argument("files", nargs=-1, metavar="[PATH]...")
@click.option(
    "-f",
    "--filename",
    multiple=True,
    metavar="PATH",
    help="YAML or JSON file or folder, or - for standard input; may be repeated",
)
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
    cluster: ClusterOptions,
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
    try:
        manifests, findings, count = read((*filename, *files))
    except UnreadableFileError as error:
        raise CheckProblem(str(error)) from error
    if against_cluster:
        try:
            findings += run(_check_with_cluster(cluster, manifests))
        except ClusterProblem as problem:
            raise CheckProblem(problem.message) from problem
    else:
        findings += _check(Known(), manifests, *_shapes(manifests))
    found = sorted(set(findings))
    _print(found, output)
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


def _check(
    known: Known, manifests: list[Manifest], checked: list[Checked], findings: list[Finding]
) -> list[Finding]:
    """Return the findings of single syncs, and of the syncs together."""
    references = References(known, add_files(known, manifests))
    return findings + [
        finding for manifest, sync in checked for finding in references.check(manifest, sync)
    ]


async def _check_with_cluster(cluster: ClusterOptions, manifests: list[Manifest]) -> list[Finding]:
    checked, findings = _shapes(manifests)
    async with Progress() as progress, connect(cluster) as connection:
        known = await live.read_known(connection, progress, [sync for _, sync in checked])
        answers = await live.dry_run(connection, progress, checked)
    return _check(known, manifests, checked, findings) + answers


def _print(findings: Iterable[Finding], output: str) -> None:
    if output == "json":
        documents = [
            {name: getattr(finding, name) for name in Finding.__dataclass_fields__}
            for finding in findings
        ]
        click.echo(rendered(documents, output), nl=False)
        return
    for finding in findings:
        click.echo(printable(str(finding)))
