"""`kubectl configmapsync status` shows every sync with its state."""

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.journeys.stage import Stage
from tests.support.cluster import Cluster
from tests.support.eventually import wait_until
from tests.support.kubectl import kubectl_program
from tests.support.plugin import ROOT, run_plugin, without_progress, write_programs
from tests.support.processes import START_SECONDS, Process
from tests.support.users import write_kubeconfig

# Each call starts Python.
pytestmark = [pytest.mark.usefixtures("reconciler"), pytest.mark.timeout(300)]


def lines(text: str) -> list[list[str]]:
    """Return the cells of each line of a table, without ages."""
    return [
        [cell.strip() for cell in line.split("   ") if cell.strip()] for line in text.splitlines()
    ]


def two_syncs(stage: Stage) -> tuple[str, str, str]:
    """Create a good sync and one with a conflict; return home, a good and a taken namespace."""
    home, good, taken = (stage.namespace(prefix) for prefix in ("home", "good", "taken"))
    stage.source(home, data={"password": "value-of-a-configmap"})
    stage.put_configmap(taken, "config", data={"mine": "yes"})
    ready = stage.sync(home, "a-good-one", destinationNamespaces=[good])
    stage.ready_becomes(ready, "True", "Synced")
    failed = stage.sync(home, "one-conflict", destinationNamespaces=[taken])
    stage.ready_becomes(failed, "False", "DestinationConflict")
    return home, good, taken


def test_a_table_shows_state_copies_age_and_last_failure(stage: Stage) -> None:
    home, _, taken = two_syncs(stage)
    printed = run_plugin(stage.cluster, "status", "-n", home).stdout
    headers, good, bad = lines(printed)
    assert headers == ["NAMESPACE", "NAME", "COPIES", "STATE", "AGE", "LAST FAILURE"]
    assert good[:4] == [home, "a-good-one", "1/1", "Synced"]
    assert good[-1] == "-"
    assert bad[:4] == [home, "one-conflict", "0/1", "DestinationConflict"]
    assert bad[-1].startswith(f"{taken}: DestinationConflict: ConfigMap")
    assert "\x1b" not in printed


def test_wide_json_and_yaml_show_the_same_syncs(stage: Stage) -> None:
    home, _, taken = two_syncs(stage)
    wide = lines(run_plugin(stage.cluster, "status", "-n", home, "-o", "wide").stdout)
    assert wide[0][:6] == ["NAMESPACE", "NAME", "SOURCE", "COPIES", "READY", "STATE"]
    assert wide[2][:6] == [
        *(home, "one-conflict", f"{home}/config"),
        *("0/1", "False", "DestinationConflict"),
    ]
    assert "choose another destinationConfigMapName" in wide[2][-1]
    in_json = json.loads(run_plugin(stage.cluster, "status", "-n", home, "-o", "json").stdout)
    in_yaml = yaml.safe_load(run_plugin(stage.cluster, "status", "-n", home, "-o", "yaml").stdout)
    assert in_json == in_yaml
    [good, bad] = in_json
    assert good["copies"] == {"desired": 1, "synced": 1, "failed": 0}
    assert good["lastWrite"] is not None
    assert [each["namespace"] for each in bad["failures"]] == [taken]
    assert "value-of-a-configmap" not in json.dumps(in_json)


def test_all_namespaces_include_this_one_and_an_empty_one_says_so(stage: Stage) -> None:
    home, _, _ = two_syncs(stage)
    everywhere = lines(run_plugin(stage.cluster, "status", "-A").stdout)
    assert [line[1] for line in everywhere if line[0] == home] == ["a-good-one", "one-conflict"]
    empty = stage.namespace("empty")
    nothing = run_plugin(stage.cluster, "status", "-n", empty)
    assert nothing.stdout == ""
    assert nothing.stderr == f"There is no ConfigMapSync in {empty}.\n"


def test_watch_prints_a_sync_again_when_it_changes(
    stage: Stage, start_process: Callable[..., Process]
) -> None:
    home, _, taken = two_syncs(stage)
    watching = start_process(
        "plugin", "status", "-n", home, "--watch", "--kubeconfig", stage.cluster.kubeconfig
    )
    wait_until(lambda: "DestinationConflict" in watching.log.read_text(), START_SECONDS)
    stage.delete(taken, "config")

    def healed() -> None:
        printed = lines(without_progress(watching.log.read_text()))
        states = [line[3] for line in printed if line[1] == "one-conflict"]
        assert (states[0], states[-1]) == ("DestinationConflict", "Synced")
        assert [line[0] for line in printed].count("NAMESPACE") == 1

    wait_until(healed, START_SECONDS)


def test_kubectl_finds_the_plugin_on_the_path(stage: Stage, tmp_path: Path) -> None:
    home, _, _ = two_syncs(stage)
    write_programs(tmp_path)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [
            *(str(kubectl_program()), "configmapsync", "status", "-n", home),
            "--kubeconfig",
            str(stage.cluster.kubeconfig),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={**os.environ, "PATH": path},
    )
    assert [line[1] for line in lines(done.stdout)] == ["NAME", "a-good-one", "one-conflict"]


def test_a_missing_right_is_named_with_what_to_do(stage: Stage) -> None:
    home, _, _ = two_syncs(stage)
    error = run_plugin(stage.cluster, "status", "-n", home, user="bob", exit_code=1).stderr
    assert error.startswith("Error: no right to read what this command needs: ")
    assert 'cannot list resource "configmapsyncs"' in error
    assert "Ask an administrator" in error


def test_a_refused_token_is_reported_as_such(stage: Stage, tmp_path: Path) -> None:
    cluster: Cluster = stage.cluster
    if cluster.kind == "existing":
        pytest.skip("an existing cluster may accept anonymous requests")
    stranger = write_kubeconfig(
        tmp_path / "kubeconfig", cluster.url, cluster.authority_file, {"token": "nobody-has-this"}
    )
    error = run_plugin(cluster, "status", "--kubeconfig", str(stranger), exit_code=1).stderr
    assert error.startswith("Error: the API server does not accept the credentials")


def test_watch_on_a_terminal_draws_the_colored_table_again(stage: Stage) -> None:
    home, _, taken = two_syncs(stage)
    ours, theirs = pty.openpty()
    watching = subprocess.Popen(
        [sys.executable, "-m", "plugin", "status", "-n", home, "--watch"],
        stdout=theirs,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "KUBECONFIG": str(stage.cluster.kubeconfig), "NO_COLOR": ""},
        cwd=ROOT,
    )
    os.close(theirs)
    try:
        os.set_blocking(ours, False)
        drawn = bytearray()

        def draws(*words: bytes) -> None:
            with contextlib.suppress(BlockingIOError):
                drawn.extend(os.read(ours, 1 << 16))
            last = bytes(drawn).rpartition(b"\x1b[2J")[2]
            assert all(word in last for word in words), last

        red, green = b"\x1b[31m", b"\x1b[32m"
        wait_until(
            lambda: draws(b"NAMESPACE", red + b"DestinationConflict", green + b"Synced"),
            START_SECONDS,
        )
        stage.delete(taken, "config")
        wait_until(lambda: draws(b"NAMESPACE", b"1/1", b"one-conflict   1/1"), START_SECONDS)
        assert drawn.count(b"\x1b[2J") >= 2
        watching.send_signal(signal.SIGINT)
        assert watching.wait(30) == 0
    finally:
        watching.kill()
        watching.wait()
        os.close(ours)
