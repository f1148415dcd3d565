"""`plan` from the command line to the exit code, as `kubectl diff` and others have it: something would change, nothing would, or nobody can tell."""

import asyncio
import os
import random
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from configmapsync.names import NamespacedName
from configmapsync.reasons import Reason
from dryrun.difference import as_diff
from dryrun.documents import UnreadableFile, read
from dryrun.machine import as_json
from dryrun.overlay import apply_files
from dryrun.rights import AskedIfAllowed
from dryrun.settings import PlanSettings
from dryrun.simulated_cluster import NoCluster, SimulatedCluster
from dryrun.simulator import SimulatedSync, Simulator
from dryrun.text import as_text
from kube.client import ApiServer, Client
from kube.connection import ConfigurationError, Connection, ConnectionSettings
from kube.errors import ApiError
from reconciler.known.service_accounts import Authorization
from runtime import logs
from runtime.settings import load

PROGRAM = "configmapsync-reconciler plan"
EXIT_NOTHING, EXIT_FAILURE, EXIT_CHANGES = 0, 1, 2
AUTHORIZATION_INTERVAL = 600.0  # seconds; each right is asked for once


class NoSuchSync(Exception):
    """A sync that was named on the command line does not exist and has no copies."""


OUTPUTS = {"text": as_text, "json": as_json, "diff": as_diff}


def main(arguments: Sequence[str]) -> int:
    """Plan, print it, and return the exit code."""
    settings = _settings(arguments)
    logs.configure("console", "warning")
    try:
        simulated_syncs = asyncio.run(_prospects(settings))
    except (ApiError, ConfigurationError, UnreadableFile, NoSuchSync) as error:
        sys.stderr.write(f"{PROGRAM}: {error}\n")
        return EXIT_FAILURE
    _print(OUTPUTS[settings.output](simulated_syncs))
    if settings.output == "diff":
        _tell_aside(simulated_syncs)
    if any(simulated.failed for simulated in simulated_syncs):
        return EXIT_FAILURE
    return EXIT_CHANGES if any(simulated.steps for simulated in simulated_syncs) else EXIT_NOTHING


def _settings(arguments: Sequence[str]) -> PlanSettings:
    """A command line that cannot be understood must not look like a plan with changes."""
    try:
        return load(PlanSettings, PROGRAM, arguments)
    except SystemExit as ended:
        sys.exit(EXIT_FAILURE if ended.code else EXIT_NOTHING)


def _print(text: str) -> None:
    """To a reader who may have seen enough, such as `head` or a pager that was left."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(
            os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
        )  # or the interpreter complains of it at the end


async def _prospects(settings: PlanSettings) -> list[SimulatedSync]:
    documents = read(settings.filename)
    async with _cluster(settings) as cluster:
        draft = SimulatedCluster(cluster)
        now = asyncio.get_running_loop().time
        rights = AskedIfAllowed(
            Authorization(Client(draft), now, settings.protected(), AUTHORIZATION_INTERVAL)
        )
        rng = random.Random()  # noqa: S311 - jitter of watches, of which there are none
        simulator = Simulator(draft, rights, settings.protected(), rng)
        await simulator.read()
        told = await apply_files(simulator, draft, documents)
        simulated_syncs = await simulator.simulate(_chosen(settings, simulator, told))
    for simulated in simulated_syncs:
        simulated.notes += _notes(simulated, may_ask=rights.may_ask)
    return simulated_syncs


@asynccontextmanager
async def _cluster(settings: PlanSettings) -> AsyncIterator[ApiServer]:
    """Yield the API server to read from; one with nothing in it where the files stand for themselves."""
    if settings.filename and not settings.with_cluster:
        yield NoCluster()
        return
    connecting = ConnectionSettings(
        kubeconfig=settings.kubeconfig,
        context=settings.context,
        disable_strict_tls=settings.relaxed_tls,
        user_agent="configmapsync-plan",
    )
    async with await Connection.open(connecting) as connection:
        yield connection


def _chosen(
    settings: PlanSettings, simulator: Simulator, told: list[NamespacedName]
) -> list[NamespacedName]:
    """Which syncs are told: those that were named, else those of files that are laid over a cluster, else all."""
    known = simulator.syncs()
    if not settings.syncs:
        return sorted(told) if told and settings.with_cluster else known
    chosen = [NamespacedName(*text.split("/", 1)) for text in dict.fromkeys(settings.syncs)]
    missing = [str(sync) for sync in chosen if sync not in known]
    if missing:
        raise NoSuchSync(f"there is no ConfigMapSync {', '.join(missing)}, and no copy of it")
    return chosen


def _notes(simulated: SimulatedSync, *, may_ask: bool) -> list[str]:
    """What a plan cannot show, and whoever reads it should know."""
    record, notes = simulated.record, list[str]()
    if record is None:
        return ["its copies are handled when it has been missing for --orphan-grace"]
    account = record.sync.spec.service_account_name if record.sync else None
    if account and not may_ask:
        notes.append(
            f"you may not ask for the rights of service account {record.namespace}/{account}: they are taken for granted"
        )
    pending = {step.write.key.namespace for step in simulated.steps}
    for failure in record.status.failures if record.status else ():
        reason = Reason.parse(failure.reason)
        if failure.namespace in pending and reason is not None and reason.unforeseen:
            notes.append(f"{failure.namespace}: tried before, {failure.reason}: {failure.message}")
    return notes


def _tell_aside(simulated_syncs: list[SimulatedSync]) -> None:
    """A diff has no place for what is refused, or cannot be told: that goes to standard error."""
    aside = [
        simulated
        for simulated in simulated_syncs
        if simulated.failed or simulated.refused or simulated.verdict or simulated.notes
    ]
    if aside:
        sys.stderr.write(as_text(aside))
