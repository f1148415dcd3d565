"""Define the options that several commands share, and the exit code of their errors.

The modules in `commands/` take each option as a decorator. This module reads no
cluster.
"""

import functools
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from configmapsync.names import NamespacedName
from kube.connection import ConnectionSettings

USER_AGENT = "kubectl-configmapsync"
Function = Callable[..., Any]

CLUSTER_FLAGS = (
    click.option(
        "--kubeconfig",
        type=click.Path(dir_okay=False, path_type=Path),
        help="kubeconfig file; default: $KUBECONFIG, else ~/.kube/config",
    ),
    click.option(
        "--context", metavar="NAME", help="context of the kubeconfig; default: its current one"
    ),
    click.option(
        "--relaxed-tls",
        is_flag=True,
        help="accept a cluster CA without key identifiers, which Python 3.13 refuses by default",
    ),
)


def with_options(function: Function, options: Iterable[Callable[[Function], Function]]) -> Function:
    """Add options to a command; `--help` lists them in their order."""
    for option in reversed([*options]):
        function = option(function)
    return function


def cluster_options(function: Function) -> Function:
    """Add the flags of the cluster; the command gets them as `cluster`, a ConnectionSettings."""

    @functools.wraps(function)
    def with_cluster(
        *arguments: Any,
        kubeconfig: Path | None,
        context: str | None,
        relaxed_tls: bool,
        **options: Any,
    ) -> Any:
        cluster = ConnectionSettings(kubeconfig, context, relaxed_tls, USER_AGENT)
        return function(*arguments, cluster=cluster, **options)

    return with_options(with_cluster, CLUSTER_FLAGS)


def output_option(*formats: str, default: str) -> Callable[[Function], Function]:
    """Add -o with one of `formats`; the command gets it as `output`."""
    return click.option(
        "-o", "--output", type=click.Choice(formats), default=default, show_default=True
    )


def filename_option(text: str) -> Callable[[Function], Function]:
    """Add -f with a help text; the command gets a tuple as `filename`."""
    return click.option("-f", "--filename", multiple=True, metavar="PATH", help=text)


class Name(click.ParamType[NamespacedName]):
    """A `NAMESPACE/NAME` argument."""

    name = "namespace/name"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> NamespacedName:
        """Return the parsed name."""
        return NamespacedName.parse(value) or self.fail(
            f"{value!r} is not NAMESPACE/NAME", param, ctx
        )


@contextmanager
def errors_end_with(exit_code: int) -> Iterator[None]:
    """Show an error of the block, and end the command with this exit code."""
    try:
        yield
    except click.ClickException as error:
        error.show()
        raise click.exceptions.Exit(exit_code) from error
