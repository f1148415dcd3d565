"""Define the stories that are measured, for the reconciler and for the baseline.

`__main__.py` runs them. A story leaves the cluster as it found it, but for namespaces.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

from benchmarks.api import SOURCES, sync_path
from benchmarks.bench import (
    LARGE,
    ROUND_LIMIT_SECONDS,
    SMALL,
    Begin,
    Bench,
    data,
    in_turn,
)
from benchmarks.clock import Place
from benchmarks.programs import Program
from benchmarks.results import Round, Row
from configmapsync.names import MANAGED_BY_LABEL, MANAGED_BY_VALUE

# More repairs would count as contention: five in ten minutes.
MOST_DAMAGES = 4
SELECTING_SYNCS = 200
# A single edit is so short that it takes many to see its distribution.
EDITS_PER_ROUND = 20
SHORT_QUIET_SECONDS = 0.2
CONFIGMAPS, NAMESPACES = "/api/v1/configmaps", "/api/v1/namespaces"
MANAGED = f"labelSelector={MANAGED_BY_LABEL}={MANAGED_BY_VALUE}"

Places = list[Place]


async def one_edit(bench: Bench) -> list[Row]:
    """One edit until one copy is up to date."""
    row = Row("one edit, one copy up to date", 1, 1.15)
    await _edits(bench, row, SMALL, bench.options.rounds * EDITS_PER_ROUND)
    return [row]


async def many_copies(bench: Bench) -> list[Row]:
    """One edit until all copies are up to date."""
    copies = bench.options.copies
    row = Row(f"one edit, {copies:,} copies of 16 KiB up to date", copies, 1.25)
    await _edits(bench, row, LARGE, bench.options.rounds)
    return [row]


async def _edits(bench: Bench, row: Row, size: int, rounds: int) -> None:
    namespaces = bench.namespaces[: row.copies]
    own, plain = _places(namespaces, "edited"), _places(namespaces, "plain-edited")
    shortly = SHORT_QUIET_SECONDS if row.copies == 1 else None
    edit = bench.next_edit()
    await bench.api.add_sources(["edited", "plain-source"], data(edit, size))
    await bench.plain.write("POST", plain, data(edit, size))
    async with bench.reconciler() as reconciler:
        await reconciler.ready()
        destinations = ["bench-*"] if row.copies > 1 else namespaces
        spec = {"configMapName": "edited", "destinationNamespaces": destinations}
        await bench.seconds_until(own, edit, lambda: bench.api.add_syncs({"edited": spec}))
        await bench.quiet()

        async def edit_source() -> None:
            edit = bench.next_edit()

            async def do() -> None:
                await bench.api.edit_source("edited", data(edit, size))

            row.own.append(await bench.measured(reconciler, own, edit, do, shortly))

        async def write() -> None:
            edit = bench.next_edit()

            async def do() -> None:
                await bench.api.edit_source("plain-source", data(edit, size))
                await bench.plain.write("PUT", plain, data(edit, size))

            row.plain.append(await bench.measured(bench.plain, plain, edit, do, shortly))

        for number in range(rounds):
            for side in in_turn(number, edit_source, write):
                await side()
        row.memory = reconciler.memory()
        await bench.remove_syncs()
    await bench.api.remove_configmaps([*plain, (SOURCES, "plain-source"), (SOURCES, "edited")])


async def first_fan_out(bench: Bench) -> list[Row]:
    """A new sync until all copies are made."""
    copies = bench.options.copies
    row = Row(f"first fan-out to {copies:,} copies of 16 KiB", copies, 1.4)
    async with bench.reconciler() as reconciler:
        await reconciler.ready()
        for number in range(_fewer(bench)):
            name, edit = f"fanned-{number}", bench.next_edit()
            own, plain = (_places(bench.namespaces, there) for there in (name, f"plain-{name}"))
            await bench.api.add_sources([name], data(edit, LARGE))
            await bench.quiet()

            async def sync(name: str = name, own: Places = own, edit: str = edit) -> None:
                spec = {"configMapName": name, "destinationNamespaces": ["bench-*"]}

                async def do() -> None:
                    await bench.api.add_syncs({name: spec})

                row.own.append(await bench.measured(reconciler, own, edit, do))

            async def write(plain: Places = plain, edit: str = edit) -> None:
                async def do() -> None:
                    await bench.plain.write("POST", plain, data(edit, LARGE))

                row.plain.append(await bench.measured(bench.plain, plain, edit, do))

            for side in in_turn(number, sync, write):
                await side()
            row.memory = reconciler.memory()
            await bench.remove_syncs()
            await bench.api.remove_configmaps([*plain, (SOURCES, name)])
    return [row]


async def start_and_restart(bench: Bench) -> list[Row]:
    """A start with a sync for each copy, and a restart when all copies are up to date."""
    syncs = bench.options.copies
    start = Row(f"start with {syncs:,} syncs, all copies made", syncs, 2.5)
    restart = Row(f"restart with {syncs:,} syncs up to date", 0, 1.5, has_ratio=False)
    for _ in range(_fewer(bench)):
        places, edit = await _many_syncs(bench)
        plain = [(space, f"plain-{name}") for space, name in places]
        complete = bench.clock.when_all_have(places, edit)
        begin = time.monotonic()
        async with bench.reconciler() as reconciler:
            seconds = await bench.reached(complete) - begin
            await bench.api.all_ready(ROUND_LIMIT_SECONDS)
            start.own.append(Round(seconds, await reconciler.used()))
            start.memory = reconciler.memory()

        async def write(plain: Places = plain, edit: str = edit) -> None:
            await bench.plain.write("POST", plain, data(edit, SMALL))

        start.plain.append(await bench.measured(bench.plain, plain, edit, write))
        await _restart(bench, restart, syncs)
        await bench.api.remove_configmaps([*plain, *((SOURCES, name) for _, name in places)])
    return [start, restart]


async def _many_syncs(bench: Bench) -> tuple[Places, str]:
    """Create a sync with its own source and destination for each copy, without a reconciler."""
    edit = bench.next_edit()
    names = [f"own-{number:04d}" for number in range(bench.options.copies)]
    await bench.api.add_sources(names, data(edit, SMALL))
    places = list(zip(bench.namespaces, names, strict=True))
    await bench.api.add_syncs(
        {name: {"configMapName": name, "destinationNamespace": space} for space, name in places}
    )
    await bench.quiet()
    return places, edit


async def _restart(bench: Bench, row: Row, syncs: int) -> None:
    """Measure a restart that must not write, and what it takes to read the same objects."""
    versions = await _versions(bench)
    begin = time.monotonic()
    async with bench.reconciler() as reconciler:
        async with asyncio.timeout(ROUND_LIMIT_SECONDS):
            await reconciler.reconciled(syncs)
        seconds = time.monotonic() - begin
        await bench.quiet()
        row.own.append(Round(seconds, await reconciler.used()))
        row.memory = reconciler.memory()
        assert await _versions(bench) == versions, "a restart wrote"
        before, begin = await bench.plain.used(), time.monotonic()
        await bench.plain.read([sync_path(), f"{CONFIGMAPS}?{MANAGED}", NAMESPACES])
        seconds = time.monotonic() - begin
        row.plain.append(Round(seconds, await bench.plain.used() - before))
        await bench.remove_syncs()


async def _versions(bench: Bench) -> list[str]:
    """Return the versions of all copies and syncs."""
    copies = (await bench.api.send("GET", f"{CONFIGMAPS}?{MANAGED}"))["items"]
    items = [*copies, *await bench.api.syncs()]
    return sorted(item["metadata"]["resourceVersion"] for item in items)


async def new_namespace(bench: Bench) -> list[Row]:
    """A new namespace until it has the copies of all syncs that select it."""
    row = Row(f"a new namespace that {SELECTING_SYNCS} syncs select", SELECTING_SYNCS, 1.6)
    edit, names = bench.next_edit(), [f"new-{number:03d}" for number in range(SELECTING_SYNCS)]
    await bench.api.add_sources(names, data(edit, SMALL))
    selector = {"destinationNamespaceSelector": {"matchLabels": {"bench": "new"}}}
    async with bench.reconciler() as reconciler:
        await reconciler.ready()
        await bench.api.add_syncs({name: {"configMapName": name, **selector} for name in names})
        await reconciler.reconciled(len(names))
        await bench.quiet()
        for number in range(bench.options.rounds):

            async def select(space: str = f"new-{number}") -> None:
                async def do() -> None:
                    await bench.api.add_namespaces([space], {"bench": "new"})

                places = [(space, name) for name in names]
                row.own.append(await bench.measured(reconciler, places, edit, do))

            async def fill(space: str = f"plain-new-{number}") -> None:
                places = [(space, name) for name in names]

                async def do() -> None:
                    await bench.api.add_namespaces([space], {})
                    await bench.plain.write("POST", places, data(edit, SMALL))

                row.plain.append(await bench.measured(bench.plain, places, edit, do))

            for side in in_turn(number, select, fill):
                await side()
        row.memory = reconciler.memory()
        await bench.remove_syncs()
    await bench.api.remove_configmaps((SOURCES, name) for name in names)
    return [row]


async def damage(bench: Bench) -> list[Row]:
    """Every second copy is edited, until all are up to date again."""
    spaces = bench.namespaces[:200]
    row = Row(
        f"{len(spaces[::2])} of {len(spaces)} copies damaged, all repaired", len(spaces[::2]), 1.1
    )
    own, plain = _places(spaces, "damaged"), _places(spaces, "plain-damaged")
    edit = bench.next_edit()
    await bench.api.add_sources(["damaged"], data(edit, LARGE))
    await bench.plain.write("POST", plain, data(edit, LARGE))

    async def spoil(places: Places) -> None:
        """Damage copies, and return when the clock has seen the damage."""
        harm = bench.next_edit()
        spoiled = bench.clock.when_all_have(places, harm)
        await bench.plain.write("PATCH", places, {"edit": harm})
        await bench.reached(spoiled)

    async with bench.reconciler() as reconciler:
        await reconciler.ready()
        spec = {"configMapName": "damaged", "destinationNamespaces": spaces}
        await bench.seconds_until(own, edit, lambda: bench.api.add_syncs({"damaged": spec}))
        await bench.quiet()

        async def repair_own() -> None:
            row.own.append(await _repaired(bench, reconciler, own, edit, lambda: spoil(own[::2])))

        async def repair_plain() -> None:
            async def do() -> None:
                await spoil(plain[::2])
                await bench.plain.write("PUT", plain[::2], data(edit, LARGE))

            row.plain.append(await _repaired(bench, bench.plain, plain, edit, do))

        for number in range(min(bench.options.rounds, MOST_DAMAGES)):
            for side in in_turn(number, repair_own, repair_plain):
                await side()
        row.memory = reconciler.memory()
        await bench.remove_syncs()
    await bench.api.remove_configmaps([*plain, (SOURCES, "damaged")])
    return [row]


async def _repaired(bench: Bench, program: Program, places: Places, edit: str, do: Begin) -> Round:
    """Measure one round in which the places have the edit before and after."""
    before, begin = await program.used(), time.monotonic()
    await do()
    seconds = await bench.reached(bench.clock.when_all_have(places, edit)) - begin
    await bench.quiet()
    return Round(seconds, await program.used() - before)


def _places(namespaces: list[str], name: str) -> Places:
    return [(namespace, name) for namespace in namespaces]


def _fewer(bench: Bench) -> int:
    """Return the number of rounds of a story with a long set-up."""
    return max(1, bench.options.rounds * 2 // 5)


STORIES: dict[str, Callable[[Bench], Awaitable[list[Row]]]] = {
    "one-edit": one_edit,
    "many-copies": many_copies,
    "first-fan-out": first_fan_out,
    "new-namespace": new_namespace,
    "start": start_and_restart,
    "damage": damage,
}
