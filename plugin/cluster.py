"""Run the work of a command on a cluster, and explain every failure to the user.

The commands call `run`, and use `problems` around other code that reads files. This is
the only module of the plugin that explains why a cluster cannot be read.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import click

from configmapsync.names import API_VERSION, KIND
from dryrun.texts import UnreadableFileError
from kube.configuration import ConfigurationError
from kube.connection import Connection, ConnectionSettings
from kube.errors import ApiError, Forbidden, Unauthorized, Unreachable
from plugin.progress import Progress
from plugin.reading import MissingApiError, Reader
from plugin.terminal import printable
from runtime import logs

EXIT_FAILURE = 1
Result = TypeVar("Result")


def run(settings: ConnectionSettings, work: Callable[[Reader], Awaitable[Result]]) -> Result:
    """Connect to a cluster, run the work of a command and return its result.

    Raises:
        ClickException: the cluster cannot be found, reached or read.
    """

    async def connected() -> Result:
        async with Progress() as progress, Connection.open(settings) as connection:
            return await work(Reader(connection, progress))

    logs.configure("console", "warning")
    with problems():
        return asyncio.run(connected())


@contextmanager
def problems() -> Iterator[None]:
    """Turn the errors of a block that reads files or a cluster into a ClickException."""
    try:
        yield
    except UnreadableFileError as error:
        raise click.ClickException(str(error)) from error
    except (ApiError, ConfigurationError, MissingApiError) as error:
        raise click.ClickException(explained(error)) from error


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
            problem = str(error)
            advice = "Run the command again. If that fails, too: kubectl configmapsync doctor"
    return f"{printable(problem)}\n{advice}"
