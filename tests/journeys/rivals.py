"""Other writers of a copy: tools that reset or delete it, and a mutating webhook."""

import base64
import itertools
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.journeys.stage import Stage
from tests.support.eventually import wait_until
from tests.support.pki import Authority
from tests.support.processes import LOCAL_ADDRESS

EVERY_SECONDS = 0.02
MUTATING = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"


class Rival:
    """Checks a copy again and again, and undoes writes of the reconciler."""

    def __init__(self, look: Callable[[], bool], every: float = EVERY_SECONDS) -> None:
        """Start checking; `look` returns whether it changed the copy."""
        self._look = look
        self._every = every
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self.undone = 0
        self._thread.start()

    def _work(self) -> None:
        while not self._stopped.wait(self._every):
            self.undone += self._look()

    def stop(self) -> None:
        """Stop checking."""
        self._stopped.set()
        self._thread.join()


@contextmanager
def resetting(stage: Stage, namespace: str, data: dict[str, str], manager: str) -> Iterator[Rival]:
    """Reset the data of a copy, as a GitOps controller or a similar operator does."""
    path = stage.configmap_path(namespace, "config")

    def look() -> bool:
        copy = stage.cluster.find(path)
        if copy is None or copy.get("data") == data:
            return False
        stale = {"data": dict.fromkeys(copy.get("data", {})) | data}
        version = {"metadata": {"resourceVersion": copy["metadata"]["resourceVersion"]}}
        content_type = "application/merge-patch+json"
        url = f"{path}?fieldManager={manager}"
        return (
            stage.cluster.request("PATCH", url, stale | version, content_type=content_type).status
            == 200
        )

    yield from _until_the_end(Rival(look))


@contextmanager
def rewriting(stage: Stage, namespace: str, manager: str) -> Iterator[Rival]:
    """Keep a heartbeat in a copy, with more writes than any repair could follow."""
    path = f"{stage.configmap_path(namespace, 'config')}?fieldManager={manager}"
    beats = itertools.count()

    def look() -> bool:
        beat = {"data": {"heartbeat": str(next(beats))}}
        return (
            stage.cluster.request(
                "PATCH", path, beat, content_type="application/merge-patch+json"
            ).status
            == 200
        )

    yield from _until_the_end(Rival(look, every=0.0))


@contextmanager
def pruning(stage: Stage, namespace: str) -> Iterator[Rival]:
    """Delete a copy, as a tool with pruning does."""
    path = stage.configmap_path(namespace, "config")
    yield from _until_the_end(Rival(lambda: stage.cluster.request("DELETE", path).status == 200))


def _until_the_end(rival: Rival) -> Iterator[Rival]:
    try:
        yield rival
    finally:
        rival.stop()


@contextmanager
def recreating(stage: Stage, copy: Any) -> Iterator[Rival]:
    """Create the copy again with its marks, as a tool that has the copy in its repository does."""
    metadata = {
        part: copy["metadata"][part] for part in ("name", "namespace", "labels", "annotations")
    }
    document = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": copy["data"]}
    path = f"/api/v1/namespaces/{metadata['namespace']}/configmaps"
    yield from _until_the_end(
        Rival(lambda: stage.cluster.request("POST", path, document).status == 201)
    )


def adds_a_key(configmap: dict[str, Any]) -> dict[str, Any]:
    """Return data as a policy changes it."""
    return {"op": "add", "path": "/data", "value": (configmap.get("data") or {}) | {"policy": "on"}}


def replaces_the_labels(_configmap: dict[str, Any]) -> dict[str, Any]:
    """Return labels as a policy changes them."""
    return {
        "op": "add",
        "path": "/metadata/labels",
        "value": {"app.kubernetes.io/managed-by": "policy"},
    }


@contextmanager
def changing(
    stage: Stage,
    namespace: str,
    change: Callable[[dict[str, Any]], dict[str, Any]],
    folder: Path,
    now: datetime,
) -> Iterator[list[str]]:
    """Run a mutating webhook that changes every ConfigMap `config` of a namespace.

    Yields:
        The operations of the reviews so far.
    """
    authority = Authority(folder, now)
    pair = authority.server("webhook", ["localhost"], [LOCAL_ADDRESS])
    operations: list[str] = []
    server = ThreadingHTTPServer((LOCAL_ADDRESS, 0), _handler(operations, change))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    name = f"changing-{stage.tag}"
    bundle = base64.b64encode(authority.pair.certificate.read_bytes()).decode()
    stage.cluster.create(
        MUTATING,
        _registration(name, namespace, f"https://{LOCAL_ADDRESS}:{server.server_port}/", bundle),
    )
    try:
        wait_until(lambda: _is_called(stage, namespace, operations))
        operations.clear()
        yield operations
    finally:
        stage.cluster.delete(f"{MUTATING}/{name}")
        server.shutdown()
        server.server_close()


def _is_called(stage: Stage, namespace: str, operations: list[str]) -> bool:
    """Return whether the API server calls the webhook, which it learns of a moment later."""
    path = f"/api/v1/namespaces/{namespace}/configmaps?dryRun=All"
    stage.cluster.request("POST", path, {"metadata": {"name": "config"}})
    return bool(operations)


def _registration(name: str, namespace: str, url: str, bundle: str) -> dict[str, Any]:
    rules = [
        {
            "apiGroups": [""],
            "apiVersions": ["v1"],
            "resources": ["configmaps"],
            "operations": ["CREATE", "UPDATE"],
        }
    ]
    webhook = {
        "name": "changing.example.com",
        "clientConfig": {"url": url, "caBundle": bundle},
        "rules": rules,
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "matchConditions": [
            {
                "name": "changes",
                "expression": 'request.name == "config" || object.metadata.name == "config"',
            }
        ],
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }
    api = "admissionregistration.k8s.io/v1"
    return {
        "apiVersion": api,
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": name},
        "webhooks": [webhook],
    }


def _handler(
    operations: list[str], change: Callable[[dict[str, Any]], dict[str, Any]]
) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            request = review["request"]
            operations.append(request["operation"])
            patch = [change(request["object"])]
            response = {
                "uid": request["uid"],
                "allowed": True,
                "patchType": "JSONPatch",
                "patch": base64.b64encode(json.dumps(patch).encode()).decode(),
            }
            body = json.dumps(
                {"apiVersion": review["apiVersion"], "kind": review["kind"], "response": response}
            ).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            """Log nothing, because the test checks the reviews."""

    return Handler
