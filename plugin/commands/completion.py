"""The command `completion`: print the script that completes commands in a shell.

click writes the script. The program itself answers the questions of the script, in
`plugin/cli.py`.
"""

import click
from click.shell_completion import get_completion_class

from plugin.cli import COMPLETION_VARIABLE, EXECUTABLE, cli

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
def command(shell: str) -> None:
    """Print the completion script for bash, zsh or fish.

    Load it in the present shell with: source <(kubectl-configmapsync completion bash)

    The script completes `kubectl-configmapsync`. For `kubectl configmapsync` the completion of
    kubectl finds the program kubectl_complete-configmapsync, which is installed as well.
    """
    completion = get_completion_class(shell)
    assert completion is not None  # noqa: S101 - click knows the three shells
    click.echo(completion(cli, {}, EXECUTABLE, COMPLETION_VARIABLE).source())
