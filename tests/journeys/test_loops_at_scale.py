"""Hundreds of syncs in nested loops delay no other tenant, in neither process."""

from collections.abc import Callable

from tests.journeys.scrape import scrape
from tests.journeys.stage import Stage
from tests.support.eventually import wait_until
from tests.support.processes import Process, free_port

PAIRS = 200


def test_an_edit_arrives_while_four_hundred_syncs_in_nested_loops_are_decided(
    stage: Stage, start_reconciler: Callable[..., Process]
) -> None:
    tenant, home, there = stage.namespace(), stage.namespace(), stage.namespace()
    stage.source(home)
    stage.sync(home, destinationNamespace=there)
    port = free_port()
    start_reconciler(port=port)
    back = []
    # Each ConfigMap is a source for the next one and for the one before.
    for step in range(PAIRS):
        one, next_one = f"c-{step:03}", f"c-{step + 1:03}"
        leading = {"destinationNamespace": tenant, "destinationConfigMapName": next_one}
        stage.sync(tenant, f"a-forward-{step:03}", configMapName=one, **leading)
        leading["destinationConfigMapName"] = one
        back.append(stage.sync(tenant, f"b-back-{step:03}", configMapName=next_one, **leading))
        if step % 50 == 0:
            content = stage.edit(home, "config", data={"edit": str(step)})
            stage.copy_becomes(content, there)

    content = stage.edit(home, "config", data={"edit": "last"})
    stage.copy_becomes(content, there)

    # Of two syncs for one ConfigMap the forward one wins: it is older, or first by name in the
    # same second.
    stage.source(tenant, "c-000", data={"from": "the beginning"})
    stage.copy_becomes({"data": {"from": "the beginning"}}, tenant, "c-020", within=60)
    wait_until(lambda: stage.condition(back[0]).get("reason") == "LoopDetected", within=60)
    assert scrape(port).value("controller_runtime_reconcile_panics_total") == 0
