"""Define what the commands `plan` and `diff` share: flags, exit codes and the call.

`commands/plan.py` and `commands/diff.py` call it. `dryrun/command.py` does the work and
has the same flags; a test compares both. Exit code 2 means that something would change,
so a wrong flag must not end with 2, as it does in click.
"""

from collections.abc import Iterator
from typing import Any

import click

from dryrun.command import EXIT_FAILURE
from dryrun.command import main as dryrun_main
from plugin.options import CLUSTER_FLAGS, Function, errors_end_with, filename_option, with_options


class PlanCommand(click.Command):
    """A command that ends with 1 after a wrong flag."""

    def make_context(self, *arguments: Any, **options: Any) -> click.Context:
        """Parse the arguments of the command."""
        with errors_end_with(EXIT_FAILURE):
            return super().make_context(*arguments, **options)


PLAN_FLAGS = (
    click.argument("syncs", nargs=-1, metavar="[NAMESPACE/NAME]..."),
    filename_option(
        "YAML file or folder, or - for standard input, instead of a cluster; may be repeated"
    ),
    click.option(
        "--with-cluster",
        is_flag=True,
        help="plan as if the files were applied to the cluster; without names, only the syncs of "
        "the files",
    ),
    click.option(
        "--protected-namespaces",
        metavar="NAMES",
        help="namespaces that are destinations only by exact name, as set for the reconciler; "
        "default: those of Kubernetes itself",
    ),
    click.option(
        "--operator-namespace",
        metavar="NAME",
        help="namespace of the reconciler, which is protected as well",
    ),
    *CLUSTER_FLAGS,
)


def plan_options(function: Function) -> Function:
    """Add the flags of a plan; the command gets their values as keyword arguments."""
    return with_options(function, PLAN_FLAGS)


def run_plan(program: str, syncs: tuple[str, ...], **options: Any) -> int:
    """Make a plan, print it, and return the exit code.

    Args:
        program: the name of the command in errors.
        syncs: as namespace/name; none for all.
        options: the other values of `plan_options`, and `output`: text, json or diff.
    """
    return dryrun_main([*_flags(options), *syncs], program)


def _flags(options: dict[str, Any]) -> Iterator[str]:
    """Yield the options as flags of `dryrun/command.py`."""
    for name, value in options.items():
        flag = f"--{name.replace('_', '-')}"
        if value is True:
            yield flag
        elif isinstance(value, tuple):
            yield from (f"{flag}={item}" for item in value)
        elif value not in {None, False}:
            yield f"{flag}={value}"
