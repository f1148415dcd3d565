"""Run the sweep by hand: `python -m tests.sweep [WORDS]`.

Without words it executes every run of every story. With the name of a story and the
words of a disturbance, as a failure prints them, it executes one run again. `--stories`
limits the sweep, `--random` executes random pairs of disturbances from `--seed` on.
"""

import argparse
import itertools
import sys
import time
from collections.abc import Iterable, Iterator

from tests.sweep.stories import BY_NAME
from tests.sweep.sweep import Case, failure, parse, prepare, random_cases, schedule_cases
from tests.sweep.sweep import single_faults as faults_of

PROGRESS_RUNS = 500


def main() -> int:
    """Execute runs until the first failure.

    Returns:
        The exit code: 1 if a promise was broken.
    """
    options = _options()
    prepare()
    count = 0
    began = time.monotonic()
    for count, case in enumerate(_cases(options), 1):
        if (problem := failure(case)) is not None:
            _say(f"run {count} broke a promise; run it again with\n{problem}")
            return 1
        if count % PROGRESS_RUNS == 0:
            _say(f"{count} runs in {time.monotonic() - began:.0f} s, seed {options.seed}")
        if options.seconds and time.monotonic() - began > options.seconds:
            break
    _say(f"{count} runs of the sweep kept every promise")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.sweep", description=__doc__)
    parser.add_argument("words", nargs="*", help="a story and its disturbance")
    parser.add_argument("--stories", nargs="+", choices=BY_NAME, default=list(BY_NAME))
    parser.add_argument("--random", action="store_true", help="execute random runs")
    parser.add_argument("--seed", type=int, default=0, help="of the random runs")
    parser.add_argument("--runs", type=int, help="at most; default: no limit")
    parser.add_argument("--seconds", type=float, help="stop after these; default: no limit")
    return parser.parse_args()


def _cases(options: argparse.Namespace) -> Iterable[Case]:
    if options.words:
        return [parse(options.words)]
    cases = random_cases(options.seed) if options.random else _all(options.stories)
    return itertools.islice(cases, options.runs)


def _all(stories: Iterable[str]) -> Iterator[Case]:
    for story in stories:
        yield Case(story, parse([story]).disturbance)
        yield from faults_of(story)
        yield from schedule_cases(story)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
