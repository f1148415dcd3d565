"""Each reason why a cluster cannot be read has one message, and says what to do."""

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from kube.connection import ConnectionSettings
from kube.errors import Forbidden, NotFound, ServerError, Unauthorized, Unreachable
from plugin.cli import cli
from plugin.cluster import explained, problems
from plugin.commands.status import namespace_of
from plugin.reading import MissingApiError
from tests.support.plugin import without_progress
from tests.support.processes import free_port

KUBECONFIG = """\
apiVersion: v1
kind: Config
current-context: here
contexts:
- {{name: here, context: {{cluster: c, user: u, namespace: team-a}}}}
- {{name: broken, context: {{cluster: absent, user: u}}}}
clusters:
- {{name: c, cluster: {{server: "http://127.0.0.1:{port}"}}}}
users:
- {{name: u, user: {{token: secret-token}}}}
"""
COMMANDS = [
    *(["status"], ["status", "--watch"], ["explain", "a/b"], ["tree", "a/b"]),
    *(["graph"], ["doctor"]),
]


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Path:
    """A kubeconfig of an API server that does not listen."""
    path = tmp_path / "kubeconfig"
    path.write_text(KUBECONFIG.format(port=free_port()))
    return path


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_no_cluster_is_one_clear_error_of_each_command(
    arguments: list[str], kubeconfig: Path
) -> None:
    unreachable = CliRunner().invoke(cli, [*arguments, "--kubeconfig", str(kubeconfig)])
    assert unreachable.exit_code == 1
    error = without_progress(unreachable.stderr)
    assert error.startswith("Error: cannot connect to the API server: ")
    assert "Check the connection: kubectl version" in error
    missing = CliRunner().invoke(cli, [*arguments, "--kubeconfig", "/no/such/file"])
    assert missing.exit_code == 1
    assert missing.stderr == (
        "Error: no cluster: kubeconfig /no/such/file: there is no such file\n"
        "Set KUBECONFIG, or use --kubeconfig and --context.\n"
    )
    broken = CliRunner().invoke(
        cli, [*arguments, "--kubeconfig", str(kubeconfig), "--context", "broken"]
    )
    assert broken.exit_code == 1
    assert "there is no cluster 'absent'" in broken.stderr
    for result in (unreachable, missing, broken):
        assert result.stdout == ""
        assert "secret-token" not in result.stderr
        assert "Traceback" not in result.output


@pytest.mark.parametrize("name", ["a", "a/", "/b", "a/b/c", ""])
def test_a_name_of_another_form_is_a_usage_error(name: str) -> None:
    for command in ("explain", "tree"):
        result = CliRunner().invoke(cli, [command, name])
        assert result.exit_code == 2
        assert "is not NAMESPACE/NAME" in result.stderr


@pytest.mark.parametrize(
    "error",
    [
        Forbidden("bob cannot list\n\x1b[2J"),
        Unauthorized("no"),
        Unreachable("refused"),
        MissingApiError(),
        ServerError("broken"),
        NotFound("x not found"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_each_error_of_the_api_server_says_what_to_do(error: Exception) -> None:
    problem, advice = explained(error).split("\n")
    assert problem.isprintable()
    assert advice.isprintable()
    with pytest.raises(click.ClickException) as raised, problems():
        raise error
    assert raised.value.exit_code == 1


def test_the_namespace_is_that_of_the_context(
    kubeconfig: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert namespace_of(ConnectionSettings(kubeconfig)) == "team-a"
    plain = tmp_path / "plain"
    plain.write_text(kubeconfig.read_text().replace(", namespace: team-a", ""))
    assert namespace_of(ConnectionSettings(plain)) == "default"
    monkeypatch.setenv("KUBECONFIG", f"{plain}:{kubeconfig}")
    assert namespace_of(ConnectionSettings()) == "default"
