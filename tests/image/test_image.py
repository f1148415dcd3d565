"""The three processes work in the image of the Dockerfile as they do in a pod.

The image has a numeric user, a read-only root, no shell and no pip. The tests build it
on this machine's Python (`base.py`), because they have no registry for the real base
image.
"""

import os
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.image import base
from tests.image.containers import BUILD_FLAGS, BUILD_TIMEOUT_SECONDS, Buildah, Image
from tests.journeys.stage import Stage
from tests.support.cluster import Cluster
from tests.support.processes import Process, free_port
from tests.support.users import ADMIN

ROOT = Path(__file__).parents[2]
USER = 65532
BUILDER, RUNTIME, OURS = (
    "localhost/builder:test",
    "localhost/runtime:test",
    "localhost/configmapsync:test",
)
SOURCE = "https://git.example.com/platform/configmapsync"
SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
PIP_SETTINGS = re.compile(
    r"^\S*\.(cert|index-url|extra-index-url|trusted-host|proxy)='(.*)'$", re.MULTILINE
)
WHY_NOT = next(
    (
        reason
        for applies, reason in (
            (sys.platform != "linux", "containers are Linux's"),
            (
                shutil.which("buildah") is None,
                "buildah is not installed (Debian: apt-get install buildah)",
            ),
            (
                not hasattr(os, "geteuid") or os.geteuid() != 0,
                "only root may mount an image and run in it as another user",
            ),
        )
        if applies
    ),
    None,
)
pytestmark = [
    pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT)),
    pytest.mark.timeout(420),
]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    folder = tmp_path_factory.mktemp("image")
    buildah = Buildah(folder / "store")
    buildah.from_folder(base.lay_out_builder(folder / "builder"), BUILDER)
    buildah.from_folder(base.lay_out_runtime(folder / "runtime"), RUNTIME)
    flags = (
        *BUILD_FLAGS,
        f"--build-arg=PYTHON={BUILDER}",
        f"--build-arg=BASE={RUNTIME}",
        f"--secret=id=pip.conf,src={_pip_settings(folder / 'pip.conf')}",
    )
    chosen = (
        f"IMG={OURS}",
        f"CONTAINER_TOOL={buildah.program}",
        f"BUILD_FLAGS={' '.join(flags)}",
        f"SOURCE={SOURCE}",
    )
    _make("docker-build", *chosen)
    yield buildah.mount(OURS)
    buildah("rm", "--all")
    shutil.rmtree(folder)


@pytest.fixture
def start(image: Image, tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Start commands in a container; the processes end with the test."""
    running: list[Process] = []

    def start(*command: str, **options: dict[str, str] | dict[str, Path]) -> Process:
        line = image.command(*command, **options)
        running.append(Process(line, tmp_path / f"{command[0]}-{len(running)}.log"))
        return running[-1]

    yield start
    for process in running:
        process.stop()
        print(process.explain("its log"))  # noqa: T201 - pytest shows it under a failure only


@pytest.fixture
def pod(cluster: Cluster, tmp_path: Path) -> dict[str, dict[str, str] | dict[str, Path]]:
    """The API server's address and the account files that a kubelet gives to every pod."""
    if cluster.kind == "existing" or cluster.authority_file is None:
        pytest.skip("takes the place of a pod whose token the test knows")
    account = _folder_of_the_user(tmp_path / "serviceaccount")
    (account / "token").write_text(cluster.users[ADMIN].token)
    (account / "namespace").write_text("configmapsync-system")
    shutil.copy(cluster.authority_file, account / "ca.crt")
    host, port = cluster.url.removeprefix("https://").rsplit(":", 1)
    return {
        "volumes": {SERVICE_ACCOUNT: account},
        "environment": {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port},
    }


def test_it_has_labels_that_identify_it(image: Image) -> None:
    labels = {
        name.removeprefix("org.opencontainers.image."): value
        for name, value in image.configuration["Labels"].items()
    }

    assert labels["title"] == "ConfigMapSync"
    assert labels["licenses"] == "Apache-2.0"
    assert labels["version"] == version("configmapsync")
    assert re.fullmatch("[0-9a-f]{40}", labels["revision"])
    assert labels["source"] == labels["url"] == SOURCE
    assert labels["documentation"] == f"{SOURCE}/tree/{labels['revision']}/docs"


def test_it_runs_as_a_numeric_unprivileged_user(image: Image) -> None:
    # `runAsNonRoot` cannot verify a user name.
    assert image.configuration["User"] == f"{USER}:{USER}"

    result = image.run("python", "-c", "import os; print(os.getuid(), os.getgid(), os.getgroups())")

    assert result.stdout.split() == [str(USER), str(USER), "[]"]


def test_its_root_is_read_only_and_no_file_belongs_to_the_user(image: Image) -> None:
    wrote = image.run("python", "-c", "open('/tmp/file', 'w')")

    assert "Read-only file system" in wrote.stderr
    folder = image.root / "opt" / "configmapsync"
    assert [path for path in folder.rglob("*") if path.lstat().st_uid == USER] == []


@pytest.mark.parametrize("process", ["reconciler", "webhook", "certs"])
def test_each_process_is_a_command_of_its_own_and_a_module(image: Image, process: str) -> None:
    entry_point = image.configuration["Entrypoint"]
    for command in ([f"configmapsync-{process}"], [*entry_point, process]):
        result = image.run(*command, "--help")
        assert result.returncode == 0, result.stderr
        assert f"usage: configmapsync-{process}" in result.stdout


def test_only_production_files_are_inside(image: Image) -> None:
    [packages] = image.root.glob("opt/configmapsync/lib/python*/site-packages")
    installed = {path.name for path in packages.iterdir()}

    assert {
        *("configmapsync", "kube", "runtime", "plugin"),
        *("reconciler", "webhook", "certs"),
    } <= installed
    assert (
        installed
        & {
            "devcluster",
            "demo",
            "tests",
            "pip",
            "setuptools",
            "wheel",
            "pytest",
            "celpy",
        }
        == set()
    )
    assert not (image.root / "src").exists()
    assert not (image.root / "opt/configmapsync/bin/devcluster").exists()


def test_its_bytecode_is_precompiled(image: Image) -> None:
    [packages] = image.root.glob("opt/configmapsync/lib/python*/site-packages")
    for package in (
        "configmapsync",
        "kube",
        "reconciler",
        "webhook",
        "certs",
        "runtime",
        "aiohttp",
        "pydantic",
    ):
        sources = list((packages / package).glob("*.py"))
        compiled = {
            path.name.split(".")[0] for path in (packages / package / "__pycache__").glob("*.pyc")
        }
        assert {source.stem for source in sources} <= compiled


def test_every_module_and_the_whole_of_kubernetes_asyncio_can_be_imported(image: Image) -> None:
    """Import every module of the product, and use every way to find credentials."""
    everything = """
import importlib, pkgutil
from kube.lean import credential_layer
configuration, config = credential_layer()
for name in ("configmapsync", "kube", "runtime", "reconciler", "webhook", "certs", "plugin"):
    for module in pkgutil.walk_packages(importlib.import_module(name).__path__, name + "."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
for module in pkgutil.iter_modules(config.__path__, config.__name__ + "."):
    if not module.name.endswith("_test"):
        importlib.import_module(module.name)
import kubernetes_asyncio  # the fallback of kube.lean
print("all there")
"""
    result = image.run("python", "-c", everything)

    assert result.stdout == "all there\n", result.stderr


def test_certificates_are_made_and_the_webhook_serves_with_them(
    image: Image,
    start: Callable[..., Process],
    pod: dict[str, dict[str, Path]],
    stage: Stage,
    tmp_path: Path,
) -> None:
    certificates = _folder_of_the_user(tmp_path / "tls")
    volumes = {**pod["volumes"], "/etc/configmapsync/tls": certificates}

    made = image.run(
        "configmapsync-certs", "ensure", "--dir=/etc/configmapsync/tls", volumes=volumes
    )

    assert made.returncode == 0, made.stdout + made.stderr
    assert (certificates / "tls.crt").stat().st_uid == USER
    port, health = free_port(), free_port()
    arguments = (f"--listen=127.0.0.1:{port}", f"--health-address=127.0.0.1:{health}")
    webhook = start(
        "configmapsync-webhook",
        "--certificate-dir=/etc/configmapsync/tls",
        *arguments,
        **{**pod, "volumes": volumes},
    )
    webhook.wait_until_answering(f"http://127.0.0.1:{health}/readyz")
    with urllib.request.urlopen(f"http://127.0.0.1:{health}/healthz") as answer:
        assert answer.status == 200
    assert webhook.terminate() == 0


def test_the_reconciler_copies_and_ends_in_order(
    start: Callable[..., Process], pod: dict[str, dict[str, Path]], stage: Stage
) -> None:
    health = free_port()
    reconciler = start("configmapsync-reconciler", f"--health-address=127.0.0.1:{health}", **pod)
    reconciler.wait_until_answering(f"http://127.0.0.1:{health}/readyz")
    here, there = stage.namespace(), stage.namespace()
    content = stage.source(here)

    sync = stage.sync(here, destinationNamespace=there)

    stage.copy_becomes(content, there)
    stage.cluster.delete(sync)
    stage.copy_goes(there)
    assert reconciler.terminate() == 0


def _make(*arguments: str) -> None:
    done = subprocess.run(
        ["make", "--directory", ROOT, *arguments],
        capture_output=True,
        text=True,
        timeout=BUILD_TIMEOUT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _folder_of_the_user(path: Path) -> Path:
    """Return a folder that the image's user may write, as a volume with `fsGroup` is."""
    path.mkdir()
    os.chown(path, USER, USER)
    return path


def _pip_settings(path: Path) -> Path:
    """Return the index settings of pip without the parts that only this machine has."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout
    settings = {
        name: value for name, value in PIP_SETTINGS.findall(listed) if "file://" not in value
    }
    path.write_text(
        "\n".join(["[global]", *(f"{name} = {value}" for name, value in settings.items()), ""])
    )
    return path
