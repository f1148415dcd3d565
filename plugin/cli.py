"""The command line of the plugin: a table of commands that are imported when they run.

`__main__.py` calls `main`. This module must import nothing but click and the standard
library, so that `--help` and shell completion stay fast.
"""

import importlib
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import click
from click.shell_completion import CompletionItem

PROGRAM = "kubectl configmapsync"
EXECUTABLE = "kubectl-configmapsync"
# click takes the name of the shell from this variable and prints completions.
COMPLETION_VARIABLE = "_KUBECTL_CONFIGMAPSYNC_COMPLETE"


class Row(NamedTuple):
    """One command.

    Attributes:
        module: in `plugin.commands`; its click command is `command`.
        summary: the line of `--help`.
    """

    module: str
    summary: str


COMMANDS: Mapping[str, Row] = {
    "status": Row("status", "Show every sync with its state, copies, age and last failure."),
    "explain": Row(
        "explain",
        "Explain a sync or a ConfigMap: the cause of its state, the cure, and what to run.",
    ),
    "tree": Row("tree", "Show where a ConfigMap comes from and where its copies go."),
    "graph": Row("graph", "Draw all syncs with their sources and copies as Mermaid, DOT or SVG."),
    "doctor": Row("doctor", "Examine the installation, with a remedy for each finding."),
    "completion": Row("completion", "Print the completion script for bash, zsh or fish."),
    "check": Row("check", "Check files by every rule of the CRD and of admission."),
    "plan": Row("plan", "Print what the reconciler would do, and write nothing."),
    "diff": Row(
        "diff", "Print how each copy would change, line by line, with the values of ConfigMaps."
    ),
    "import": Row(
        "import_",
        "Write syncs that do what other tools do: reflector, replicator and config-syncer.",
    ),
}


class LazyGroup(click.Group):
    """A group that imports the module of a command when the command runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click passes it
        """Return the names of all commands, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click passes it
        """Import and return a command; None if there is no such command."""
        row = COMMANDS.get(cmd_name)
        if row is None:
            return None
        command = importlib.import_module(f"plugin.commands.{row.module}").command
        assert isinstance(command, click.Command)  # noqa: S101 - a mistake in the table
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click passes it
        """Write the table of commands without importing one."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, row.summary) for name, row in COMMANDS.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the names of commands and options that begin with `incomplete`."""
        commands = [
            CompletionItem(name, help=row.summary)
            for name, row in COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return commands + click.Command.shell_complete(self, ctx, incomplete)


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="configmapsync", prog_name=PROGRAM)
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Show, explain and check the ConfigMapSyncs of a cluster.

    No command writes to the cluster, and no command prints values of ConfigMaps unless its help
    says so.
    """
    if os.environ.get("NO_COLOR"):
        ctx.color = False


def main(arguments: Sequence[str] | None = None) -> Any:
    """Run one command. It ends the process with the exit code of the command.

    Args:
        arguments: of the command line; by default those of the process.
    """
    return cli.main(arguments, prog_name=PROGRAM, complete_var=COMPLETION_VARIABLE)
