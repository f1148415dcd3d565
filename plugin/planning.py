"""Define what the commands `plan` and `diff` share: flags, exit codes and the call.

`dryrun/command.py` does the work and has the same flags; a test compares both. Like
`kubectl diff`, an exit code of its own means that something would change, so a wrong
flag must not end with it.
"""

from collections.abc import Callable, Iterator
from typing import Any

import click

from dryrun.command import main as dryrun_main
from plugin.options import ClusterOptions, cluster_options

EXIT_FAILURE = 1
Function = Callable[..., Any]


class PlanUsageError(click.UsageError):
    """A wrong flag."""

    exit_code = EXIT_FAILURE


class PlanCommand(click.Command):
    """A command that ends with 1 after a wrong flag."""

    def make_context(self, *arguments: Any, **options: Any) -> click.Context:
        """Parse the arguments of the command.

        Raises:
            PlanUsageError: a flag is wrong.
        """
        try:
            return super().make_context(*arguments, **options)
        except click.UsageError as error:
            raise PlanUsageError(error.format_message(), error.ctx) from error


def plan_options(function: Function) -> Function:
    """Add the flags of a plan; the command gets their values as keyword arguments."""
    for option in reversed(
        (
            click.argument("syncs", nargs=-1, metavar="[NAMESPACE/NAME]..."),
            click.option(
                "-f",
                "--filename",
                multiple=True,
                metavar="PATH",
                help="YAML file or folder, or - for standard input, instead of a cluster; "
                "may be repeated",
            ),
            click.option(
                "--with-cluster",
                is_flag=True,
                help="plan as if the files were applied to the cluster; without names, only the "
                "syncs of the files",
            ),
            click.option(
                "--protected-namespaces",
                metavar="NAMES",
                help="namespaces that are destinations only by exact name, as set for the "
                "reconciler; default: those of Kubernetes itself",
            ),
            click.option(
                "--operator-namespace",
                metavar="NAME",
                help="namespace of the reconciler, which is protected as well",
            ),
            cluster_options,
        )
    ):
        function = option(function)
    return function


def run_plan(program: str, output: str, cluster: ClusterOptions, **options: Any) -> int:
    """Make a plan, print it, and return the exit code.

    Args:
        program: the name of the command in errors.
        output: text, json or diff.
        cluster: to read from.
        options: the values of `plan_options`.
    """
    return dryrun_main([*_flags(output, cluster, **options)], program)


def _flags(
    output: str,
    cluster: ClusterOptions,
    *,
    syncs: tuple[str, ...],
    filename: tuple[str, ...],
    with_cluster: bool,
    protected_namespaces: str | None,
    operator_namespace: str | None,
) -> Iterator[str]:
    yield f"--output={output}"
    yield from (f"--filename={name}" for name in filename)
    if with_cluster:
        yield "--with-cluster"
    if cluster.relaxed_tls:
        yield "--relaxed-tls"
    for flag, value in (
        ("kubeconfig", cluster.kubeconfig),
        ("context", cluster.context),
        ("protected-namespaces", protected_namespaces),
        ("operator-namespace", operator_namespace),
    ):
        if value is not None:
            yield f"--{flag}={value}"
    yield from syncs
