"""The command `explain`: the cause and the cure for a sync or a ConfigMap.

`plugin/explaining.py` finds the answers. This module reads the cluster and prints.
"""

from collections.abc import Iterator

import click

from configmapsync.names import NamespacedName
from dryrun.records import read_copy, read_source
from kube.connection import ConnectionSettings
from kube.errors import Forbidden
from plugin.answers import Answer, Observation, Problem
from plugin.cluster import run
from plugin.explaining import MOST_NAMES, explained_configmap, explained_sync
from plugin.options import Name, cluster_options, output_option
from plugin.reading import Reader
from plugin.terminal import listed, painted, printable, show

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
    lines = [line for answer in answers for line in ("", *_lines(answer))]
    show(answers, lines[1:], output)


async def _answers(reader: Reader, key: NamespacedName) -> list[Answer]:
    """Explain what the user may read; fail only if that is nothing."""
    answers: list[Answer | None] = []
    denied: list[Forbidden] = []
    for find in (_about_sync, _about_configmap):
        try:
            answers.append(await find(reader, key))
        except Forbidden as error:
            denied.append(error)
    found = [answer for answer in answers if answer is not None]
    if denied and not found:
        raise denied[0]
    return found


async def _about_sync(reader: Reader, key: NamespacedName) -> Answer | None:
    record = await reader.sync(key)
    return explained_sync(record) if record else None


async def _about_configmap(reader: Reader, key: NamespacedName) -> Answer | None:
    raw = await reader.configmap(key)
    record = read_copy(raw) if raw else None
    seen = Observation(key, record)
    try:
        seen.syncs = await reader.syncs()
    except Forbidden:
        if record is None:
            raise
        # A user who may not list the syncs of the cluster may be able to read the one of the copy.
        seen.unread.append("the syncs of other namespaces")
        named = await reader.sync(record.synced_by) if record.synced_by else None
        seen.syncs = [named] if named else []
    try:
        seen.namespace = await reader.namespace(key.namespace)
    except Forbidden:
        seen.labels_known = False
        seen.unread.append("the labels of the namespace")
    if seen.owner is not None and seen.owner.sync is not None:
        await _read_source(reader, seen, seen.owner.sync.source)
    return explained_configmap(seen)


async def _read_source(reader: Reader, seen: Observation, source: NamespacedName) -> None:
    """Read the source of a copy, so that their contents can be compared."""
    try:
        raw = await reader.configmap(source)
    except Forbidden:
        seen.unreadable = f"no right to read {source}"
    else:
        seen.source = read_source(raw) if raw else None


def _lines(answer: Answer) -> Iterator[str]:
    yield click.style(f"{answer.kind} {answer.namespace}/{answer.name}", bold=True)
    yield from (_labelled(label, text) for label, text in answer.facts.items())
    if answer.right is not None:
        word, color = ("yes", "green") if answer.right else ("no", "red")
        yield _labelled("right", word, color)
    for problem in answer.problems:
        yield from ("", *_lines_of_problem(problem))


def _lines_of_problem(problem: Problem) -> Iterator[str]:
    reason = painted(printable(problem.reason) or "NotReported", problem.reason)
    places = printable(listed(problem.namespaces, MOST_NAMES))
    yield f"  {reason} in {places}" if places else f"  {reason}"
    if problem.message:
        yield _labelled("message", problem.message)
    yield _labelled("cause", problem.cause)
    if problem.cure:
        yield _labelled("cure", problem.cure)
    for number, line in enumerate(problem.commands):
        yield _labelled("run" if number == 0 else "", line)


def _labelled(label: str, text: str, color: str | None = None) -> str:
    text = printable(text)
    return f"  {label:<{LABEL_WIDTH}}{click.style(text, fg=color) if color else text}"
