import json
import signal
import socket
import sys
from pathlib import Path

import pytest

from certs.__main__ import main
from certs.settings import Settings
from runtime.settings import load
from tests.support.processes import Process
from tests.support.users import write_kubeconfig


def test_two_processes_at_once_end_with_one_certificate(tmp_path: Path):
    command = [sys.executable, "-m", "certs", "ensure", "--dir", tmp_path / "pair"]
    runs = [Process(command, tmp_path / f"{number}.log") for number in range(2)]
    assert [run.wait() for run in runs] == [0, 0], "\n".join(run.output() for run in runs)
    made = (tmp_path / "pair" / "tls.crt").read_bytes()
    assert main(["ensure", "--dir", str(tmp_path / "pair")]) == 0
    assert (tmp_path / "pair" / "tls.crt").read_bytes() == made


def test_a_directory_is_for_development_names_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    options = ["--dir", str(tmp_path), "--extra-names", "webhook.example", "--namespace", "ns"]
    assert main(["ensure", *options]) == 0
    assert main(["inspect", *options]) == 0
    text = capsys.readouterr().out
    for name in (
        "configmapsync-webhook.ns.svc",
        "configmapsync-webhook.ns.svc.cluster.local",
        "localhost",
        "127.0.0.1",
    ):
        assert name in text
    assert "webhook.example" in text
    assert "ensure would act" not in text


def test_inspect_prints_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["inspect", "--dir", str(tmp_path), "--output", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["due"] is True
    assert [finding["reason"] for finding in found["findings"]] == ["is missing", "is missing"]


def test_foreign_files_are_one_log_line_and_exit_code_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "tls.key").write_text("theirs")
    assert main(["ensure", "--dir", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert "this tool did not create it" in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["burn"],
        ["ensure", "--ca-lifetime", "soon"],
        ["ensure", "--ca-lifetime", "0d"],
        ["ensure", "--ca-lifetime", "36526d"],
        ["ensure", "--certificate-lifetime", "999999999999d"],
        ["ensure", "--certificate-lifetime", "9" * 5000 + "d"],
        ["ensure", "--settling", "2h"],
        ["ensure", "--settling", "-1s"],
        ["ensure", "--patience", "1e308"],
        ["ensure", "--patience", "inf"],
        ["ensure", "--renew", "revoke"],
        ["ensure", "--extra-names", '["m\u00fcnchen.example"]'],
        ["ensure", "--extra-names", "two words"],
        ["ensure", "--extra-names", '[""]'],
        ["ensure", "--extra-names", "fe80::1%eth0"],
        ["ensure", "--extra-names", "a" * 254],
        ["ensure", "--namespace", "m\u00fcnchen"],
        ["ensure", "--service", "-"],
        ["ensure", "--cluster-domain", "a..b"],
        [],
    ],
    ids=lambda arguments: " ".join(arguments)[:60],
)
def test_a_wrong_command_line_is_exit_code_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
):
    with pytest.raises(SystemExit) as ended:
        load(Settings, "configmapsync-certs", arguments)
    assert ended.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


def test_the_error_of_a_flag_says_what_is_wrong_with_its_value(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        load(Settings, "configmapsync-certs", ["ensure", "--ca-lifetime", "soon"])
    error = "configmapsync-certs: --ca-lifetime: is not a duration such as 90d, 12h, 30m or 5s\n"
    assert capsys.readouterr().err == error


def test_names_may_be_wildcards_and_addresses_in_any_form():
    arguments = ["ensure", "--extra-names", "*.a.example,127.0.0.1,0:0::1"]
    names = load(Settings, "configmapsync-certs", arguments).order.names
    assert names[-3:] == ("*.a.example", "127.0.0.1", "::1")


def test_the_longest_lifetimes_work(tmp_path: Path):
    assert (
        main(
            [
                "ensure",
                "--dir",
                str(tmp_path),
                "--ca-lifetime",
                "36525d",
                "--certificate-lifetime",
                "36525d",
            ]
        )
        == 0
    )
    assert main(["inspect", "--dir", str(tmp_path)]) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_ends_it(tmp_path: Path, number: signal.Signals):
    """The run waits for an API server that accepts the connection and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        kubeconfig = write_kubeconfig(tmp_path / "kubeconfig", url, None, {"token": "x"})
        run = Process.python("certs", "ensure", "--kubeconfig", kubeconfig, log=tmp_path / "log")
        connected, _ = silent.accept()
        with connected:
            run.send(number)
            assert run.wait() == 1
    assert "stopped by a signal before the end" in run.output()
    assert "Traceback" not in run.output()


def test_lifetimes_are_read_as_people_write_them():
    settings = load(
        Settings, "configmapsync-certs", ["ensure", "--ca-lifetime", "10d", "--settling", "90s"]
    )
    assert (settings.ca_lifetime.days, settings.settling.total_seconds()) == (10, 90)


def test_environment_variables_work_as_flags_do(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CONFIGMAPSYNC_NAMESPACE", "from-environment")
    assert load(Settings, "configmapsync-certs", ["inspect"]).namespace == "from-environment"
