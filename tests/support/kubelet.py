"""Run a pod's container as a process on this machine, as a kubelet does.

The process gets only the container's command, arguments, environment, ServiceAccount
(`service_account.py`), Secrets and probes, so an omission in the manifest shows. Each
container port becomes a free port, and each mount path a folder, also in the arguments.
The kernel's part is not covered: the user, the read-only root and the limits.
"""

import base64
import os
import secrets
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.cluster import Cluster
from tests.support.eventually import wait_until
from tests.support.processes import LOCAL_ADDRESS, Process, free_port
from tests.support.service_account import ServiceAccountVolume

PROGRAMS = Path(sys.executable).parent  # in an image, the console scripts are on PATH
MOUNT_SECONDS = 60.0
INHERITED = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}

Manifest = Mapping[str, Any]


@dataclass
class Pod:
    """A pod whose one container runs."""

    name: str
    spec: Manifest
    process: Process
    ports: Mapping[str, int]
    account: ServiceAccountVolume

    def wait_until_ready(self) -> None:
        """Wait for its readiness probe, and require its liveness probe to pass."""
        [container] = self.spec["containers"]
        for probe in ("readinessProbe", "livenessProbe"):
            request = container[probe]["httpGet"]
            self.process.wait_until_answering(
                f"http://{LOCAL_ADDRESS}:{self.ports[request['port']]}{request['path']}"
            )

    def end(self) -> int:
        """Send SIGTERM, wait for the grace period of the manifest, and return the exit code."""
        return self.process.terminate(within=self.spec.get("terminationGracePeriodSeconds", 30))


@dataclass
class Kubelet:
    """Runs pods against one cluster; `stop` ends the remaining ones."""

    cluster: Cluster
    folder: Path
    pods: list[Pod] = field(default_factory=list)
    _mounted: list[tuple[str, Path]] = field(default_factory=list)

    def refresh(self) -> None:
        """Update every mounted Secret, as a kubelet does within a minute or two."""
        for path, folder in self._mounted:
            written = self._write_files(path, folder)
            for file in folder.iterdir():
                if file.name not in written:
                    file.unlink()

    def run(self, owner: Manifest, ports: Mapping[str, int] | None = None) -> Pod:
        """Start a pod of a Deployment, Job or CronJob.

        Args:
            owner: the object in the cluster.
            ports: local ports for the named container ports; free ones by default.
        """
        spec = _pod_template(owner)["spec"]
        [container] = spec["containers"]
        name, namespace = (
            f"{owner['metadata']['name']}-{secrets.token_hex(3)}",
            owner["metadata"]["namespace"],
        )
        folder = Path(tempfile.mkdtemp(dir=self.folder, prefix=name))
        found = {
            port["name"]: (ports or {}).get(port["name"]) or free_port()
            for port in container.get("ports", ())
        }
        mapped = {
            f":{port['containerPort']}": f"{LOCAL_ADDRESS}:{found[port['name']]}"
            for port in container.get("ports", ())
        }
        mapped |= dict(self._mounts(spec, namespace, folder))
        account = self._account(spec, namespace, folder)
        process = Process(
            [
                *account.command(),
                PROGRAMS / container["command"][0],
                *(_mapped(argument, mapped) for argument in container.get("args", ())),
            ],
            folder / "log",
            environment=self._environment(container, namespace, name) | account.environment(),
            inherited=INHERITED,
        )
        self.pods.append(Pod(name, spec, process, found, account))
        return self.pods[-1]

    def stop(self) -> None:
        """Stop every remaining pod, and print the output of all pods if the test failed."""
        for pod in reversed(self.pods):
            pod.process.stop()
            print(pod.process.explain(f"the log of {pod.name}")[-20_000:])  # noqa: T201 - pytest shows it under a failure only

    def _account(self, spec: Manifest, namespace: str, folder: Path) -> ServiceAccountVolume:
        """Request a token; a pod that does not mount one cannot reach the API server."""
        assert spec["automountServiceAccountToken"] is True
        volume = ServiceAccountVolume(
            self.cluster, namespace, spec["serviceAccountName"], folder / "service-account"
        )
        volume.folder.mkdir()
        volume.write()
        return volume

    def _mounts(self, spec: Manifest, namespace: str, folder: Path) -> Iterator[tuple[str, str]]:
        """Write each mounted Secret and ConfigMap once it exists.

        Yields:
            Its path in the container and its path on this machine.
        """
        mounted = {
            volume["name"]: f"secrets/{volume['secret']['secretName']}"
            if "secret" in volume
            else f"configmaps/{volume['configMap']['name']}"
            for volume in spec.get("volumes", ())
        }
        for mount in spec["containers"][0].get("volumeMounts", ()):
            here = folder / mount["name"]
            here.mkdir()
            path = f"/api/v1/namespaces/{namespace}/{mounted[mount['name']]}"
            self._write_files(path, here)
            self._mounted.append((path, here))
            yield mount["mountPath"], str(here)

    def _write_files(self, path: str, folder: Path) -> set[str]:
        def data() -> dict[str, str]:
            mounted = self.cluster.find(path)
            assert mounted is not None, f"{path} is not there, and so the pod does not start"
            return dict(mounted["data"])

        entries = wait_until(data, MOUNT_SECONDS)
        for name, content in entries.items():
            text = base64.b64decode(content) if "/secrets/" in path else content.encode()
            (folder / name).write_bytes(text)
        return set(entries)

    @staticmethod
    def _environment(container: Manifest, namespace: str, name: str) -> dict[str, str]:
        fields = {"metadata.namespace": namespace, "metadata.name": name}
        return {
            entry["name"]: entry["value"]
            if "value" in entry
            else fields[entry["valueFrom"]["fieldRef"]["fieldPath"]]
            for entry in container.get("env", ())
        }


def _pod_template(owner: Manifest) -> Manifest:
    spec = owner["spec"]
    template: Manifest = (spec["jobTemplate"]["spec"] if owner["kind"] == "CronJob" else spec)[
        "template"
    ]
    return template


def _mapped(argument: str, mapped: Mapping[str, str]) -> str:
    """Replace a whole value that names a path or port of the container by the local one."""
    flag, equals, value = argument.partition("=")
    if not equals:
        return mapped.get(argument, argument)
    return f"{flag}{equals}{mapped.get(value, value)}"
