import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.settings import load
from tests.support.cluster import Cluster
from tests.support.processes import LOCAL_ADDRESS, Process, free_port
from webhook.settings import AuthorizationMode, Settings


def test_rights_are_enforced_by_default(monkeypatch: pytest.MonkeyPatch):
    assert load(Settings, "webhook", []).authorization is AuthorizationMode.ENFORCE
    assert (
        load(Settings, "webhook", ["--authorization", "warn"]).authorization
        is AuthorizationMode.WARN
    )
    monkeypatch.setenv("CONFIGMAPSYNC_AUTHORIZATION", "off")
    assert load(Settings, "webhook", []).authorization is AuthorizationMode.OFF


@pytest.mark.parametrize(
    "arguments", [["--authorization", "maybe"], ["--listen", "nowhere"], ["--unknown"]], ids=str
)
def test_a_wrong_command_line_is_exit_code_2(arguments: list[str]):
    with pytest.raises(SystemExit) as ended:
        load(Settings, "webhook", arguments)
    assert ended.value.code == 2


def test_help_names_every_flag(tmp_path: Path):
    process = Process([sys.executable, "-m", "webhook", "--help"], tmp_path / "log")
    assert process.wait() == 0
    for flag in (
        "--listen",
        "--certificate-dir",
        "--authorization",
        "--health-address",
        "--log-format",
        "--kubeconfig",
    ):
        assert flag in process.output()


def test_an_unreadable_kubeconfig_is_one_log_line(tmp_path: Path):
    (tmp_path / "kubeconfig").write_text("{")
    process = Process(
        [sys.executable, "-m", "webhook", "--kubeconfig", tmp_path / "kubeconfig"], tmp_path / "log"
    )
    assert process.wait() == 2
    assert "cannot start" in process.output()
    assert "Traceback" not in process.output()


def test_a_missing_crd_is_logged_and_waited_for(
    fresh_cluster: Cluster, start_process: Callable[..., Process], tmp_path: Path
):
    health = free_port()
    process = start_process(
        "webhook",
        *(
            "--kubeconfig",
            fresh_cluster.kubeconfig,
            "--relaxed-tls",
            "--certificate-dir",
            tmp_path / "nothing",
        ),
        *(
            "--listen",
            f"{LOCAL_ADDRESS}:0",
            "--health-address",
            f"{LOCAL_ADDRESS}:{health}",
            "--authorization",
            "off",
        ),
    )
    process.wait_for_line("rights of users are not enforced")
    process.wait_for_line("cannot list or watch")
    with pytest.raises(AssertionError, match="503"):
        process.wait_until_answering(f"http://{LOCAL_ADDRESS}:{health}/readyz", within=0.1)
    process.wait_until_answering(f"http://{LOCAL_ADDRESS}:{health}/healthz")
    assert process.terminate() == 0
    assert "Traceback" not in process.output()
