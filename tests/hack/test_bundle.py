"""Build the manifests with another image, with no program but kubectl."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import yaml

from tests.support.manifests import CONFIG, build, pod_specs

SCRIPT = CONFIG.parent / "hack" / "bundle.py"
DIGEST = "sha256:" + "0" * 64


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, SCRIPT, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    "image",
    [
        "configmapsync:0.1.0",
        "registry.example.com/team/sync:1.2",
        "localhost:5000/sync:1.2",
        f"localhost:5000/sync@{DIGEST}",
        f"registry.example.com/sync:1.2@{DIGEST}",
    ],
)
def test_every_container_gets_the_image_and_nothing_else_changes(image: str) -> None:
    done = run("--image", image)

    assert done.returncode == 0, done.stderr
    documents = list(yaml.safe_load_all(done.stdout))
    containers = [container for _, pod in pod_specs(documents) for container in pod["containers"]]
    assert Counter(container.pop("image") for container in containers) == {image: 4}
    expected = build()
    for _, pod in pod_specs(expected):
        del pod["containers"][0]["image"]
    assert documents == expected


def test_without_an_image_the_manifests_are_unchanged() -> None:
    assert list(yaml.safe_load_all(run().stdout)) == build()


def test_another_kustomization_is_built_in_its_place() -> None:
    overlay = CONFIG / "overlays" / "cert-manager"
    assert list(yaml.safe_load_all(run("--overlay", overlay).stdout)) == build(overlay)


@pytest.mark.parametrize("image", ["sync", "localhost:5000/sync"])
def test_an_image_without_tag_and_digest_is_refused(image: str) -> None:
    done = run("--image", image)
    assert done.returncode == 2
    assert "has no tag and no digest" in done.stderr


def test_what_cannot_be_built_is_an_error(tmp_path: Path) -> None:
    assert run("--overlay", tmp_path).returncode != 0


def test_the_installer_is_one_file_with_the_same_objects() -> None:
    root, tools = CONFIG.parent, f"BIN={Path(sys.executable).parent}"
    command = [
        "make",
        "--directory",
        root,
        "--old-file=kubectl",
        "build-installer",
        tools,
        "IMG=example.com/sync:7",
    ]
    subprocess.run(command, capture_output=True, timeout=60, check=True)

    assert (root / "dist" / "install.yaml").read_text() == run(
        "--image", "example.com/sync:7"
    ).stdout
