"""Define the options that several commands share.

A command takes each as a decorator. This module must not import a library but click.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

Function = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class ClusterOptions:
    """The cluster, and the credentials for it.

    Attributes:
        kubeconfig: the file; None for the one that `kubectl` uses.
        context: of the kubeconfig; None for its current one.
        relaxed_tls: whether to accept a cluster CA without key identifiers.
    """

    kubeconfig: Path | None = None
    context: str | None = None
    relaxed_tls: bool = False


@dataclass(frozen=True, slots=True)
class NamespaceOptions:
    """The namespaces that a command covers.

    Attributes:
        name: the namespace of `-n`; None for that of the context.
        everywhere: whether `-A` asks for all namespaces.
    """

    name: str | None = None
    everywhere: bool = False


def cluster_options(function: Function) -> Function:
    """Add --kubeconfig, --context and --relaxed-tls; the command gets them as `cluster`."""

    @click.option(
        "--kubeconfig",
        type=click.Path(dir_okay=False, path_type=Path),
        help="kubeconfig file; default: $KUBECONFIG, else ~/.kube/config",
    )
    @click.option(
        "--context", metavar="NAME", help="context of the kubeconfig; default: its current one"
    )
    @click.option(
        "--relaxed-tls",
        is_flag=True,
        help="accept a cluster CA without key identifiers, which Python 3.13 refuses by default",
    )
    @functools.wraps(function)
    def with_cluster(
        *arguments: Any,
        kubeconfig: Path | None,
        context: str | None,
        relaxed_tls: bool,
        **options: Any,
    ) -> Any:
        cluster = ClusterOptions(kubeconfig, context, relaxed_tls)
        return function(*arguments, cluster=cluster, **options)

    return with_cluster


def namespace_options(function: Function) -> Function:
    """Add -n and -A; the command gets them as `namespaces`."""

    @click.option(
        "-n", "--namespace", metavar="NAME", help="the namespace; default: that of the context"
    )
    @click.option("-A", "--all-namespaces", is_flag=True, help="all namespaces")
    @functools.wraps(function)
    def with_namespaces(
        *arguments: Any, namespace: str | None, all_namespaces: bool, **options: Any
    ) -> Any:
        if namespace and all_namespaces:
            raise click.UsageError("-n and -A exclude each other")
        namespaces = NamespaceOptions(namespace, all_namespaces)
        return function(*arguments, namespaces=namespaces, **options)

    return with_namespaces


def output_option(*formats: str, default: str) -> Callable[[Function], Function]:
    """Add -o with one of `formats`; the command gets it as `output`."""
    return click.option(
        "-o", "--output", type=click.Choice(formats), default=default, show_default=True
    )


class Name(click.ParamType[tuple[str, str]]):
    """A `NAMESPACE/NAME` argument, as a pair."""

    name = "namespace/name"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """Return namespace and name."""
        if isinstance(value, tuple):
            return value
        namespace, slash, name = str(value).partition("/")
        if not (namespace and slash and name) or "/" in name:
            self.fail(f"{value!r} is not NAMESPACE/NAME", param, ctx)
        return namespace, name
