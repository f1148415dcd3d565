"""The command line of the plugin: a table of commands that are imported when they run.

`__main__.py` and the installed program call `main`. This module must import nothing but
click and the standard library, so that `--help` and shell completion stay fast.
"""

import importlib
import os
from collections.abc import Mapping, Sequence
from keyword import iskeyword
from typing import Any

import click
from click.shell_completion import CompletionItem

PROGRAM = "kubectl configmapsync"
EXECUTABLE = "kubectl-configmapsync"
# click takes the name of the shell from this variable and prints completions.
COMPLETION_VARIABLE = "_KUBECTL_CONFIGMAPSYNC_COMPLETE"


# The summary of each command; its module in `plugin.commands` has the same name.
COMMANDS: Mapping[str, str] = {
    "status": "Show every sync with its state, copies, age and last failure.",
    "explain": "Explain a sync or a ConfigMap: the cause of its state, the cure, and what to run.",
    "tree": "Show where a ConfigMap comes from and where its copies go.",
    "graph": "Draw all syncs with their sources and copies as Mermaid, DOT or SVG.",
    "doctor": "Examine the installation, with a remedy for each finding.",
    "completion": "Print the completion script for bash, zsh or fish.",
    "check": "Check files by every rule of the CRD and of admission.",
    "plan": "Print what the reconciler would do, and write nothing.",
    "diff": "Print how each copy would change, line by line, with the values of ConfigMaps.",
    "import": "Write syncs that do what other tools do: reflector, replicator and config-syncer.",
}


class LazyGroup(click.Group):
    """A group that imports the module of a command when the command runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click passes it
        """Return the names of all commands, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click passes it
        """Import and return a command; None if there is no such command."""
        if cmd_name not in COMMANDS:
            return None
        module = f"{cmd_name}_" if iskeyword(cmd_name) else cmd_name
        command: click.Command = importlib.import_module(f"plugin.commands.{module}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click passes it
        """Write the table of commands without importing one."""
        with formatter.section("Commands"):
            formatter.write_dl([*COMMANDS.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the names of commands and options that begin with `incomplete`."""
        commands = [
            CompletionItem(name, help=summary)
            for name, summary in COMMANDS.items()
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
    """Run one command, and exit with its exit code.

    Args:
        arguments: of the command line; by default those of the process.
    """
    return cli.main(arguments, prog_name=PROGRAM, complete_var=COMPLETION_VARIABLE)
