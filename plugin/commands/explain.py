"""The command `explain`: the cause and the cure for a sync or a ConfigMap.

`plugin/explaining.py` finds the answers. This module reads the cluster and prints.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import click

from cluster.syncs import SyncRecord
from configmapsync.copies import CopyRecord
from configmapsync.names import NamespacedName
from dryrun.records import read_copy, read_source
from kube.connection import ConnectionSettings
from kube.errors import Forbidden
from plugin.answers import Answer, Observation, Problem
from plugin.cluster import run
from plugin.explaining import MOST_NAMES, explained_configmap, explained_sync
from plugin.options import Name, cluster_options, output_option
from plugin.reading import Reader
from plugin.terminal import painted, printable, rendered

LABEL_WIDTH = 10


@click.command()
@click.argument("name", type=Name(), metavar="NAMESPACE/NAME")
@output_option("text", "json", "yaml", default="text")
@cluster_options
def command(cluster: ConnectionSettings, name: NamespacedName, output: str) -> None:
    """Explain a sync or a ConfigMap: the cause of its state, the cure, and what to run.

    The name is that of a ConfigMapSync or of any ConfigMap. If both exist, both are explained.
    The command compares a copy with its source, and prints no values.
    """
    answers = run(cluster, lambda reader: _answers(reader, name))
    if not answers:
        raise click.ClickException(
            f"there is no ConfigMapSync and no ConfigMap {name}, and no ConfigMapSync writes one"
        )
    if output == "text":
        click.echo("\n\n".join("\n".join(_lines(answer)) for answer in answers))
    else:
        click.echo(rendered([answer.document() for answer in answers], output), nl=False)


async def _answers(reader: Reader, key: NamespacedName) -> list[Answer]:
    """Explain what the user may read; fail only if that is nothing."""
    answers: list[Answer] = []
    denied: list[Forbidden] = []
    for find in (_about_sync, _about_configmap):
        try:
            answers += await find(reader, key)
        except Forbidden as error:
            denied.append(error)
    if denied and not answers:
        raise denied[0]
    return answers


async def _about_sync(reader: Reader, key: NamespacedName) -> list[Answer]:
    record = await reader.sync(key)
    return [explained_sync(record)] if record else []


async def _about_configmap(reader: Reader, key: NamespacedName) -> list[Answer]:
    answer = explained_configmap(await _observed(reader, key))
    return [answer] if answer else []


async def _observed(reader: Reader, key: NamespacedName) -> Observation:
    raw = await reader.configmap(key)
    record = read_copy(raw) if raw else None
    seen = Observation(key, record, None, ())
    try:
        seen = replace(seen, syncs=await reader.syncs())
    except Forbidden:
        if record is None:
            raise
        seen = await _with_named_sync(reader, seen, record)
    try:
        seen = replace(seen, namespace=await reader.namespace(key.namespace))
    except Forbidden:
        unread = (*seen.unread, "the labels of the namespace")
        seen = replace(seen, labels_known=False, unread=unread)
    uid = record.sync_uid if record else ""
    owner = next((sync for sync in seen.syncs if uid and sync.metadata.uid == uid), None)
    return await _with_source(reader, seen, owner) if owner else seen


async def _with_named_sync(reader: Reader, seen: Observation, record: CopyRecord) -> Observation:
    """Read the sync that a copy names, for a user who may not list the syncs of the cluster."""
    seen = replace(seen, unread=("the syncs of other namespaces",))
    if record.synced_by is None:
        return seen
    named = await reader.sync(record.synced_by)
    return replace(seen, syncs=(named,)) if named else seen


async def _with_source(reader: Reader, seen: Observation, owner: SyncRecord) -> Observation:
    """Read the source of a copy, so that their contents can be compared."""
    if owner.sync is None:
        return seen
    try:
        raw = await reader.configmap(owner.sync.source)
    except Forbidden:
        return replace(seen, unreadable=f"no right to read {owner.sync.source}")
    return replace(seen, source=read_source(raw) if raw else None)


def _lines(answer: Answer) -> Iterator[str]:
    yield click.style(f"{answer.kind} {answer.key}", bold=True)
    yield from (_labelled(label, text) for label, text in answer.facts)
    if answer.right is not None:
        word, color = ("yes", "green") if answer.right else ("no", "red")
        yield _labelled("right", word, color)
    for problem in answer.problems:
        yield from ("", *_lines_of_problem(problem))


def _lines_of_problem(problem: Problem) -> Iterator[str]:
    explanation = problem.explanation
    reason = printable(explanation.reason) or "NotReported"
    places = f" in {_joined(problem.places)}" if problem.places else ""
    yield f"  {painted(reason, explanation.reason)}{places}"
    if problem.message:
        yield _labelled("message", problem.message)
    yield _labelled("cause", explanation.cause)
    if explanation.cure:
        yield _labelled("cure", explanation.cure)
    for number, line in enumerate(explanation.commands):
        yield _labelled("run" if number == 0 else "", line)


def _joined(places: Sequence[str]) -> str:
    more = f" and {len(places) - MOST_NAMES} more" if len(places) > MOST_NAMES else ""
    return printable(", ".join(places[:MOST_NAMES])) + more


def _labelled(label: str, text: str, color: str | None = None) -> str:
    text = printable(text)
    return f"  {label:<{LABEL_WIDTH}}{click.style(text, fg=color) if color else text}"
