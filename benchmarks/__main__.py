"""Compare the reconciler with a plain client, or run another benchmark.

    python -m benchmarks [--cluster real] [--rounds N] [--output FOLDER] [STORY ...]
    python -m benchmarks memory | admission | scale [...]

The first form runs all stories in one cluster and prints a table. It needs the
kube-apiserver of KUBEBUILDER_ASSETS; without it, it runs on devcluster and says so.
"""

import argparse
import asyncio
import os
import sys
from importlib import import_module
from pathlib import Path
from textwrap import fill

import msgspec
import uvloop

from benchmarks.api import usual_kind
from benchmarks.bench import Bench, Options
from benchmarks.pages import PERFORMANCE, README, put_table
from benchmarks.results import Row, machine, summary, table
from benchmarks.stories import STORIES
from tests.support.clusters import KINDS

PAGE_COLUMNS = 98
OTHERS = ("memory", "admission", "scale")
ON_DEVCLUSTER = (
    "These figures are of devcluster, an API server in Python on the same cores. They show that "
    "the benchmark works, not how fast the reconciler is. Set KUBEBUILDER_ASSETS."
)


async def measure(options: Options, stories: list[str]) -> tuple[list[Row], dict[str, object]]:
    """Run the stories; return the results, and what they depend on."""
    rows: list[Row] = []
    load_before = os.getloadavg()[0]
    async with Bench.running(options) as bench:
        version = await bench.api.send("GET", "/version")
        for name in stories:
            found = await STORIES[name](bench)
            rows += found
            print("\n".join(row.as_line() for row in found), file=sys.stderr, flush=True)
    facts = {
        "cluster": f"{options.kind} {version['gitVersion']}",
        "cores": os.cpu_count(),
        "load before": round(load_before, 1),
        "load after": round(os.getloadavg()[0], 1),
        **machine(),
    }
    return rows, facts


def main(arguments: list[str]) -> int:
    """Run the stories, or one of the other scripts."""
    if arguments[:1] and arguments[0] in OTHERS:
        code: int = import_module(f"benchmarks.{arguments[0]}").main(arguments[1:])
        return code
    options = _parser().parse_args(arguments)
    chosen = Options(
        options.cluster, options.copies, options.rounds, options.quiet_seconds, options.python
    )
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        rows, facts = runner.run(measure(chosen, options.stories or list(STORIES)))
    words = fill(", ".join(f"{name} {value}" for name, value in facts.items()), PAGE_COLUMNS)
    notes = [ON_DEVCLUSTER] if chosen.kind == "devcluster" else []
    text = "\n\n".join([words, *notes, table(rows)]) + "\n"
    print(text)
    if options.output:
        options.output.mkdir(parents=True, exist_ok=True)
        (options.output / "results.md").write_text(text)
        document = {"facts": facts, "rows": [row.as_document() for row in rows]}
        (options.output / "results.json").write_bytes(
            msgspec.json.format(msgspec.json.encode(document), indent=1)
        )
    if options.write_pages:
        put_table(PERFORMANCE, "stories", f"{words}\n\n{table(rows)}")
        put_table(README, "stories", summary(rows))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--cluster", choices=KINDS[:2], default=usual_kind())
    parser.add_argument("--copies", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quiet-seconds", type=float, default=1.0, help="between two rounds")
    parser.add_argument("--python", default=sys.executable, help="the interpreter to measure with")
    parser.add_argument("--output", type=Path, help="write results.md and results.json there")
    parser.add_argument(
        "--write-pages", action="store_true", help="put the table into docs/ and the README"
    )
    parser.add_argument(
        "stories", nargs="*", choices=[*STORIES, []], metavar="STORY", help=", ".join(STORIES)
    )
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
