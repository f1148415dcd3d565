"""`plan` from the command line to the exit code, as `kubectl diff` and others have it: something would change, nothing would, or nobody can tell."""

import asyncio
import os
import random
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from configmapsync.names import NamespacedName
from kube.api_server import ApiServer
from kube.connection import ConfigurationError, Connection, ConnectionSettings
from kube.errors import ApiError
from reconciler.authorization import Authorization
from reconciler.preview.difference import as_diff
from reconciler.preview.documents import UnreadableFile, read
from reconciler.preview.draft import Draft, NoCluster
from reconciler.preview.forecast import TROUBLES, Forecaster, Prospect
from reconciler.preview.machine import as_json
from reconciler.preview.overlay import lay_over
from reconciler.preview.rights import AskedIfAllowed
from reconciler.preview.settings import PlanSettings
from reconciler.preview.text import as_text
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
        prospects = asyncio.run(_prospects(settings))
    except (ApiError, ConfigurationError, UnreadableFile, NoSuchSync) as error:
        sys.stderr.write(f"{PROGRAM}: {error}\n")
        return EXIT_FAILURE
    _print(OUTPUTS[settings.output](prospects))
    if settings.output == "diff":
        _tell_aside(prospects)
    if any(prospect.failed for prospect in prospects):
        return EXIT_FAILURE
    return EXIT_CHANGES if any(prospect.steps for prospect in prospects) else EXIT_NOTHING


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
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter complains of it at the end


async def _prospects(settings: PlanSettings) -> list[Prospect]:
    documents = read(settings.filename)
    async with _cluster(settings) as cluster:
        draft = Draft(cluster)
        now = asyncio.get_running_loop().time
        rights = AskedIfAllowed(Authorization(draft, now, settings.protected(), AUTHORIZATION_INTERVAL))
        chance = random.Random()  # noqa: S311 - jitter of watches, of which there are none
        forecaster = Forecaster(draft, rights, settings.protected(), chance)
        await forecaster.read()
        told = await lay_over(forecaster, draft, documents)
        prospects = await forecaster.forecast(_chosen(settings, forecaster, told))
    for prospect in prospects:
        prospect.notes += _notes(prospect, may_ask=rights.may_ask)
    return prospects


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


def _chosen(settings: PlanSettings, forecaster: Forecaster, told: list[NamespacedName]) -> list[NamespacedName]:
    """Which syncs are told: those that were named, else those of files that are laid over a cluster, else all."""
    known = forecaster.syncs()
    if not settings.syncs:
        return sorted(told) if told and settings.with_cluster else known
    chosen = [NamespacedName(*text.split("/", 1)) for text in dict.fromkeys(settings.syncs)]
    missing = [str(sync) for sync in chosen if sync not in known]
    if missing:
        raise NoSuchSync(f"there is no ConfigMapSync {', '.join(missing)}, and no copy of it")
    return chosen


def _notes(prospect: Prospect, *, may_ask: bool) -> list[str]:
    """What a plan cannot show, and whoever reads it should know."""
    record, notes = prospect.record, list[str]()
    if record is None:
        return ["its copies are handled when it has been missing for --orphan-grace"]
    account = record.sync.spec.service_account_name if record.sync else None
    if account and not may_ask:
        notes.append(
            f"you may not ask for the rights of service account {record.namespace}/{account}: they are taken for granted"
        )
    pending = {step.write.key.namespace for step in prospect.steps}
    for failure in record.status.failures if record.status else ():
        if failure.namespace in pending and failure.reason in TROUBLES:
            notes.append(f"{failure.namespace}: tried before, {failure.reason}: {failure.message}")
    return notes


def _tell_aside(prospects: list[Prospect]) -> None:
    """A diff has no place for what is refused, or cannot be told: that goes to standard error."""
    aside = [
        prospect for prospect in prospects if prospect.failed or prospect.refused or prospect.verdict or prospect.notes
    ]
    if aside:
        sys.stderr.write(as_text(aside))
