"""Answer the completion of kubectl for `kubectl configmapsync`.

kubectl runs the program `kubectl_complete-configmapsync` with the words after
`configmapsync`; the last one is incomplete. The answer has one line for each
completion, and a last line with a number that says what the shell may add.
"""

import sys
from collections.abc import Sequence

import click
from click.shell_completion import ShellComplete

from plugin.cli import COMPLETION_VARIABLE, EXECUTABLE, cli

NO_FILES = ":4"  # ShellCompDirectiveNoFileComp of cobra
FILES = ":0"  # ShellCompDirectiveDefault of cobra


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the completions.

    Args:
        arguments: the words so far; by default those of the process.
    """
    words = list(sys.argv[1:] if arguments is None else arguments) or [""]
    completion = ShellComplete(cli, {}, EXECUTABLE, COMPLETION_VARIABLE)
    items = completion.get_completions(words[:-1], words[-1])
    for item in items:
        if item.type == "plain":
            click.echo(f"{item.value}\t{item.help}" if item.help else item.value)
    click.echo(FILES if any(item.type != "plain" for item in items) else NO_FILES)
    return 0
