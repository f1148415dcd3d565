"""Only the credential layer is imported; an unknown library is imported whole."""

import json
import subprocess
import sys
from pathlib import Path

LEAN = """
import json, sys
import kube.connection, kube.informer, kube.events, kube.workqueue, kube.backoff
from kube.lean import credential_layer
before = len(sys.modules)
configuration, config = credential_layer()
print(json.dumps({
    "imported": len(sys.modules) - before,
    "left": [name for name in sys.modules if name.startswith("kubernetes_asyncio")],
    "works": configuration().api_key == {} and callable(config.load_kube_config),
    "once": credential_layer() is credential_layer(),
}))
"""
AFTER_THE_WHOLE = """
import kubernetes_asyncio
from kube.lean import credential_layer
configuration, config = credential_layer()
print(configuration is kubernetes_asyncio.client.Configuration, config is kubernetes_asyncio.config)
"""
ANOTHER_LAYOUT = """
from kube.lean import credential_layer
print(*credential_layer())
"""
LAYOUT = {
    "__init__.py": "",
    "client.py": "Configuration = 'the whole configuration'",
    "config.py": "ConfigException = load_incluster_config = load_kube_config = None",
}


def _run(script: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    before = f"import sys; sys.path.insert(0, {str(path)!r})\n" if path else ""
    return subprocess.run(
        [sys.executable, "-c", before + script], check=True, capture_output=True, text=True
    )


def test_neither_models_nor_apis_are_imported() -> None:
    report = json.loads(_run(LEAN).stdout)
    assert report["works"]
    assert report["once"]
    assert report["imported"] < 100
    assert report["left"] == []


def test_a_program_that_has_imported_it_all_keeps_it() -> None:
    assert _run(AFTER_THE_WHOLE).stdout.split() == ["True", "True"]


def test_another_layout_is_imported_whole(tmp_path: Path) -> None:
    package = tmp_path / "kubernetes_asyncio"
    package.mkdir()
    for name, text in LAYOUT.items():
        (package / name).write_text(text)
    ended = _run(ANOTHER_LAYOUT, tmp_path)
    assert "the whole configuration" in ended.stdout
    assert "kubernetes_asyncio has an unknown layout" in ended.stdout + ended.stderr
