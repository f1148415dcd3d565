"""The `plan` command, from the command line to the exit code.

`reconciler/__main__.py` and the plugin call it. Like `kubectl diff` it exits with one
code for changes and with another for errors. It must not write to the cluster.
"""

import asyncio
import os
import random
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from configmapsync.names import NamespacedName
from configmapsync.reasons import Reason
from configmapsync.resource import ConfigMapSync
from configmapsync.selection import Selector
from dryrun.files import apply_files, read
from dryrun.output import FORMATS, as_text
from dryrun.settings import PlanSettings
from dryrun.simulated_cluster import EmptyCluster, SimulatedCluster
from dryrun.simulator import SimulatedSync, Simulator
from dryrun.texts import UnreadableFileError
from kube.client import ApiServer, Client
from kube.configuration import ConfigurationError
from kube.connection import Connection, ConnectionSettings
from kube.errors import ApiError, Forbidden
from reconciler.known.service_accounts import Authorization
from runtime import logs
from runtime.settings import load

PROGRAM = "configmapsync-reconciler plan"
USER_AGENT = "configmapsync-plan"
EXIT_NO_CHANGES, EXIT_FAILURE, EXIT_CHANGES = 0, 1, 2
# Long enough that each right is checked once.
AUTHORIZATION_SECONDS = 600.0


class UnknownSyncError(Exception):
    """A sync on the command line does not exist and has no copies."""


class OptionalAuthorization(Authorization):
    """Checks service accounts until the API server forbids it, then assumes every right.

    An access review is a create, which a user with read access may lack.
    """

    may_review = True

    async def denial(self, sync: ConfigMapSync, selector: Selector) -> str | None:
        """Return which rights the named service account lacks.

        None if it lacks none, or if no review is allowed.
        """
        if not self.may_review:
            return None
        try:
            return await super().denial(sync, selector)
        except Forbidden:
            self.may_review = False
            return None


def main(arguments: Sequence[str], program: str = PROGRAM) -> int:
    """Make the plan, print it, and return the exit code.

    Args:
        arguments: the command line after the name of the command.
        program: the name of the command in `--help` and errors.

    Raises:
        SystemExit: a flag is wrong, or `--help` is among the arguments.
    """
    settings = _settings(arguments, program)
    logs.configure("console", "warning")
    try:
        simulated_syncs = asyncio.run(_simulate(settings))
    except (ApiError, ConfigurationError, UnreadableFileError, UnknownSyncError) as error:
        sys.stderr.write(f"{program}: {error}\n")
        return EXIT_FAILURE
    _print(FORMATS[settings.output](simulated_syncs))
    if settings.output == "diff":
        _print_problems(simulated_syncs)
    if any(simulated.failed for simulated in simulated_syncs):
        return EXIT_FAILURE
    changes = any(simulated.steps for simulated in simulated_syncs)
    return EXIT_CHANGES if changes else EXIT_NO_CHANGES


def _settings(arguments: Sequence[str], program: str) -> PlanSettings:
    """Read the settings. A wrong flag exits with 1, because 2 means that a plan has changes."""
    try:
        return load(PlanSettings, program, arguments)
    except SystemExit as exit_request:
        sys.exit(EXIT_FAILURE if exit_request.code else EXIT_NO_CHANGES)


def _print(text: str) -> None:
    """Print the plan; a closed pipe, as of `head`, is no error."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        # Otherwise the interpreter reports the closed pipe when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


async def _simulate(settings: PlanSettings) -> list[SimulatedSync]:
    documents = read(settings.filename)
    async with _base_cluster(settings) as base:
        cluster = SimulatedCluster(base)
        authorization = OptionalAuthorization(
            Client(cluster), asyncio.get_running_loop().time, AUTHORIZATION_SECONDS
        )
        rng = random.Random()  # noqa: S311 - jitter for watches, which a plan never starts
        simulator = Simulator(cluster, authorization, settings.protected(), rng)
        await simulator.read()
        in_files = await apply_files(simulator, cluster, documents)
        simulated_syncs = await simulator.simulate(_selected(settings, simulator, in_files))
    for simulated in simulated_syncs:
        simulated.notes += _notes(simulated, may_review=authorization.may_review)
    return simulated_syncs


@asynccontextmanager
async def _base_cluster(settings: PlanSettings) -> AsyncIterator[ApiServer]:
    """Yield the API server to read from; an empty one if the files stand alone."""
    if settings.filename and not settings.with_cluster:
        yield EmptyCluster()
        return
    connecting = ConnectionSettings(
        settings.kubeconfig, settings.context, settings.relaxed_tls, USER_AGENT
    )
    async with Connection.open(connecting) as connection:
        yield connection


def _selected(
    settings: PlanSettings, simulator: Simulator, in_files: list[NamespacedName]
) -> list[NamespacedName]:
    """Return the named syncs, else the syncs in files that are applied to a cluster, else all."""
    known = simulator.syncs()
    if not settings.syncs:
        return sorted(in_files) if in_files and settings.with_cluster else known
    selected = [NamespacedName(*text.split("/", 1)) for text in dict.fromkeys(settings.syncs)]
    unknown = [str(sync) for sync in selected if sync not in known]
    if unknown:
        raise UnknownSyncError(f"no ConfigMapSync and no copy of {', '.join(unknown)} found")
    return selected


def _notes(simulated: SimulatedSync, *, may_review: bool) -> list[str]:
    """Return what the plan of a sync cannot show."""
    record, notes = simulated.record, list[str]()
    if record is None:
        return ["its copies are handled after it has been missing for --orphan-grace"]
    account = record.sync.spec.service_account_name if record.sync else None
    if account and not may_review:
        notes.append(
            f"no right to check service account {record.namespace}/{account}: "
            "the plan assumes that it has every right"
        )
    pending = {step.write.key.namespace for step in simulated.steps}
    for failure in record.status.failures if record.status else ():
        reason = Reason.parse(failure.reason)
        if failure.namespace in pending and reason is not None and reason.unforeseen:
            notes.append(
                f"{failure.namespace}: the last write failed, {failure.reason}: {failure.message}"
            )
    return notes


def _print_problems(simulated_syncs: list[SimulatedSync]) -> None:
    """Print to standard error what a diff cannot show: refusals, failures and notes."""
    problems = [
        simulated
        for simulated in simulated_syncs
        if simulated.failed or simulated.refused or simulated.verdict or simulated.notes
    ]
    if problems:
        sys.stderr.write(as_text(problems))
