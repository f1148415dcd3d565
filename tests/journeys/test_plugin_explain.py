"""`kubectl configmapsync explain` names the cause, the cure and the commands to run."""

import json
import shlex
import subprocess
import textwrap
from collections.abc import Callable
from typing import Any

import pytest

from tests.journeys.stage import Stage
from tests.journeys.user_shell import UserShell
from tests.support.eventually import wait_until
from tests.support.plugin import normalized, run_plugin
from tests.support.processes import START_SECONDS, Process

pytestmark = pytest.mark.timeout(300)  # each call starts Python


def explained(stage: Stage, namespace: str, name: str = "config") -> list[dict[str, Any]]:
    """Return the answers about one name."""
    printed = run_plugin(stage.cluster, "explain", f"{namespace}/{name}", "-o", "json").stdout
    answers: list[dict[str, Any]] = json.loads(printed)
    return answers


def test_a_conflict_is_explained_and_the_printed_commands_cure_it(
    stage: Stage, reconciler: Process
) -> None:
    home, good, taken = (stage.namespace(prefix) for prefix in ("home", "good", "take"))
    content = stage.source(home, data={"password": "value-of-a-configmap"})
    stage.put_configmap(taken, "config", data={"mine": "value-of-another"})
    sync = stage.sync(home, "shared", destinationNamespaces=[good, taken])
    stage.ready_becomes(sync, "False", "DestinationConflict")
    stage.summary_becomes(sync, "1/2")
    printed = run_plugin(stage.cluster, "explain", f"{home}/shared").stdout
    names = {home: "home", good: "good", taken: "take"}
    assert normalized(printed, names) == textwrap.dedent("""\
        ConfigMapSync home_________/shared
          source    home_________/config
          copies    1/2
          state     DestinationConflict: 1 of 2 destinations failed: take_________: ConfigMap \
"take_________/config" exists and is not managed by ConfigMapSync; delete it, choose another \
destinationConfigMapName, or set conflictPolicy: Adopt
          right     no

          DestinationConflict in take_________
          message   ConfigMap "take_________/config" exists and is not managed by ConfigMapSync; \
delete it, choose another destinationConfigMapName, or set conflictPolicy: Adopt
          cause     The ConfigMap take_________/config exists, and this sync may not change it: \
it is not managed by ConfigMapSync, or it is immutable.
          cure      Look at the ConfigMap. Delete it if nothing needs it. Otherwise set another \
spec.destinationConfigMapName, or set spec.conflictPolicy: Adopt, which replaces its content.
          run       kubectl get configmap config -n take_________ -o yaml
                    kubectl delete configmap config -n take_________
        """)
    for command in explained(stage, home, "shared")[0]["problems"][0]["commands"]:
        stage.cluster.kubectl(*shlex.split(command)[1:])
    stage.copy_becomes(content, taken)
    stage.ready_becomes(sync, "True", "Synced")
    [answer] = explained(stage, home, "shared")
    assert (answer["right"], answer["problems"]) == (True, [])


def test_a_copy_names_its_sync_and_its_source_and_is_compared_with_it(
    stage: Stage, start_reconciler: Callable[..., Process]
) -> None:
    reconciler = start_reconciler()
    home, web = stage.namespace("home"), stage.namespace("web")
    content = stage.source(home, data={"password": "value-of-a-configmap"})
    sync = stage.sync(home, "shared", destinationNamespaces=[web])
    stage.copy_becomes(content, web)
    stage.ready_becomes(sync, "True", "Synced")
    printed = run_plugin(stage.cluster, "explain", f"{web}/config").stdout
    assert normalized(printed, {home: "home", web: "web"}) == textwrap.dedent("""\
        ConfigMap web_________/config
          managed   yes, by ConfigMapSync home_________/shared
          source    home_________/config
          content   equals the source
          right     yes
        """)
    reconciler.stop()
    stage.edit(web, "config", data={"password": "value-of-an-edit"})
    [answer] = explained(stage, web)
    assert answer["right"] is False
    assert [each["reason"] for each in answer["problems"]] == ["Progressing"]
    assert "value-of" not in json.dumps(answer)
    start_reconciler()
    stage.copy_becomes(content, web)
    [source] = explained(stage, home)
    assert source["facts"] == {"managed": "no", "source of": f"ConfigMapSync {home}/shared"}


def test_a_missing_source_a_missing_namespace_and_a_missing_right_are_explained(
    stage: Stage, reconciler: Process
) -> None:
    home, web = stage.namespace("home"), stage.namespace("web")
    stage.service_account(home)
    stage.source(home)
    cases = {
        "SourceNotFound": {"configMapName": "absent", "destinationNamespaces": [web]},
        "NamespaceNotFound": {"destinationNamespaces": ["no-such-namespace"]},
        "NotAuthorized": {"serviceAccountName": "robot", "destinationNamespaces": [web]},
        "Suspended": {"suspend": True, "destinationNamespaces": [web]},
    }
    for reason, spec in cases.items():
        sync = stage.sync(home, reason.lower(), **spec)
        stage.ready_becomes(sync, "True" if reason == "Suspended" else "False", reason)
        [answer] = explained(stage, home, reason.lower())
        [problem] = answer["problems"]
        assert problem["reason"] == reason
        assert problem["commands"]
    denied = explained(stage, home, "notauthorized")[0]["problems"][0]["commands"][0]
    checked = subprocess.run(
        stage.cluster.kubectl.command(*shlex.split(denied)[1:]),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert checked.stdout.strip() == "no", checked.stderr


def test_a_name_that_nothing_knows_is_an_error(stage: Stage) -> None:
    namespace = stage.namespace()
    done = run_plugin(stage.cluster, "explain", f"{namespace}/nothing", exit_code=1)
    assert done.stdout == ""
    assert done.stderr == (
        f"Error: there is no ConfigMapSync and no ConfigMap {namespace}/nothing, "
        "and no ConfigMapSync writes one\n"
    )


def test_a_tenant_gets_an_answer_from_what_the_tenant_may_read(
    stage: Stage, reconciler: Process
) -> None:
    if stage.cluster.kind == "existing":
        pytest.skip("an existing cluster has no test users")
    home, web = stage.namespace("home"), stage.namespace("web")
    content = stage.source(home)
    sync = stage.sync(home, "shared", destinationNamespaces=[web])
    stage.copy_becomes(content, web)
    stage.ready_becomes(sync, "True", "Synced")
    shell = UserShell(stage.cluster, stage.new_namespace)
    shell.allow("bob", web, ("get",))
    refused = run_plugin(stage.cluster, "explain", f"{web}/config", user="bob", exit_code=1)
    assert "Error: no right to read what this command needs" in refused.stderr
    shell.may_write_syncs("bob", home)
    done = wait_until(
        lambda: (
            run_plugin(stage.cluster, "explain", f"{web}/config", "-o", "json", user="bob").stdout
        ),
        START_SECONDS,
    )
    [answer] = json.loads(done)
    assert answer["right"] is None
    assert answer["facts"] == {
        "managed": f"yes, by ConfigMapSync {home}/shared",
        "source": f"{home}/config",
        "content": f"not compared: no right to read {home}/config",
        "not read": "the syncs of other namespaces; the labels of the namespace",
    }
    [own] = json.loads(
        run_plugin(stage.cluster, "explain", f"{home}/shared", "-o", "json", user="bob").stdout
    )
    assert (own["kind"], own["right"]) == ("ConfigMapSync", True)
