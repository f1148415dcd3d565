"""Connect a command to a cluster, and turn every failure into a message for people.

Each command that needs a cluster runs inside of `run`. This is the only module of the
plugin that explains why a cluster cannot be read.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar

import click

from configmapsync.names import API_VERSION, KIND
from kube.configuration import ConfigurationError, default_namespace
from kube.connection import Connection, ConnectionSettings
from kube.errors import ApiError, Forbidden, Unauthorized, Unreachable
from plugin.options import ClusterOptions, NamespaceOptions
from plugin.terminal import printable
from runtime import logs

USER_AGENT = "kubectl-configmapsync"
EXIT_FAILURE = 1
Result = TypeVar("Result")


class MissingApiError(Exception):
    """The cluster does not serve ConfigMapSyncs."""


class ClusterProblem(click.ClickException):
    """Why a command cannot work with the cluster: one line, and one line on what to do."""

    exit_code = EXIT_FAILURE


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run the work of a command and return its result.

    Raises:
        ClusterProblem: the cluster cannot be found, reached or read.
    """
    logs.configure("console", "warning")
    with problems():
        return asyncio.run(work)


@contextmanager
def problems() -> Iterator[None]:
    """Raise `ClusterProblem` where the block cannot find, reach or read the cluster."""
    try:
        yield
    except (ApiError, ConfigurationError, MissingApiError) as error:
        raise ClusterProblem(explained(error)) from error


@asynccontextmanager
async def connect(options: ClusterOptions) -> AsyncIterator[Connection]:
    """Yield a connection to the cluster of the options.

    Raises:
        ConfigurationError: there is no kubeconfig, or it cannot be used.
    """
    settings = ConnectionSettings(
        kubeconfig=options.kubeconfig,
        context=options.context,
        disable_strict_tls=options.relaxed_tls,
        user_agent=USER_AGENT,
    )
    async with await Connection.open(settings) as connection:
        yield connection


def chosen_namespace(options: ClusterOptions, namespaces: NamespaceOptions) -> str:
    """Return the namespace of the options; empty for all namespaces.

    Raises:
        ClusterProblem: the kubeconfig cannot be read.
    """
    if namespaces.everywhere:
        return ""
    if namespaces.name:
        return namespaces.name
    with problems():
        return default_namespace(options.kubeconfig, options.context)


def explained(error: Exception) -> str:
    """Return what is wrong, and in a second line what to do."""
    match error:
        case ConfigurationError():
            problem = f"no cluster: {error}"
            advice = "Set KUBECONFIG, or use --kubeconfig and --context."
        case MissingApiError():
            problem = f"the cluster does not serve {KIND} ({API_VERSION})"
            advice = "Install the CRD: kubectl apply -k config/crd, or the Helm chart."
        case Unauthorized():
            problem = f"the API server does not accept the credentials: {error.message}"
            advice = "Log in again, or use --context."
        case Forbidden():
            problem = f"no right to read what this command needs: {error.message}"
            advice = "Ask an administrator for the right. docs/plugin.md lists the rights."
        case Unreachable():
            problem = f"cannot connect to the API server: {error.message}"
            advice = "Check the connection: kubectl version"
        case _:
            problem, advice = str(error), "Run the command again."
    return f"{printable(problem)}\n{advice}"
