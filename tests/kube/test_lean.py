"""Only what finds credentials is loaded of the big library; this fails when a new version of it changes its house."""

import json
import subprocess
import sys

REPORT = """
import json, sys
import kube.connection, kube.informer, kube.events, kube.workqueue, kube.backoff
from kube.lean import credential_layer
configuration, config = credential_layer()
ours = [name for name in sys.modules if name.startswith("kubernetes_asyncio")]
print(json.dumps({
    "modules": ours,
    "works": configuration().api_key == {} and callable(config.load_kube_config) and callable(config.load_incluster_config),
}))
"""
AFTER_THE_WHOLE = """
import kubernetes_asyncio
from kube.lean import credential_layer
configuration, config = credential_layer()
print(configuration is kubernetes_asyncio.client.Configuration, config is kubernetes_asyncio.config)
"""


def _run(script: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    ).stdout


def test_neither_models_nor_apis_are_loaded() -> None:
    report = json.loads(_run(REPORT))
    assert report["works"]
    assert len(report["modules"]) < 20
    unwanted = ("client.models", "client.api", "client.rest", "watch", "dynamic", "stream")
    assert [
        name
        for name in report["modules"]
        if name.removeprefix("kubernetes_asyncio.").startswith(unwanted)
    ] == []


def test_a_program_that_has_loaded_it_all_keeps_it() -> None:
    assert _run(AFTER_THE_WHOLE).split() == ["True", "True"]
