"""A TLS webhook with scripted answers, and the configurations that point to it."""

import asyncio
import base64
import json
import ssl
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from aiohttp import web

from devcluster.access.users import authenticated
from devcluster.admission.chain import AdmissionChain
from devcluster.admission.configurations import with_defaults
from devcluster.admission.endpoint import Address, WebhookEndpoints
from devcluster.admission.request import AdmissionRequest, Operation, Resource
from tests.support.pki import Authority

CONFIGMAPS = Resource("", "v1", "ConfigMap", "configmaps", namespaced=True)
NAMESPACES = Resource("", "v1", "Namespace", "namespaces", namespaced=False)
ADMIN = authenticated("admin", "", ("system:masters",), {})
Answer = Mapping[str, Any] | Callable[[web.Request], Awaitable[web.StreamResponse]]


class ScriptedWebhook:
    """Answers `allowed` unless a test scripts other answers, and records every review."""

    def __init__(self, folder: Path, now) -> None:
        authority = Authority(folder, now)
        pair = authority.server("webhook", ["hook.team.svc", "localhost"], ["127.0.0.1"])
        self.ca_bundle = base64.b64encode(authority.pair.certificate.read_bytes()).decode()
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(pair.certificate, pair.key)
        self.answers: dict[str, list[Answer]] = {}
        self.calls: list[tuple[str, web.Request, dict[str, Any]]] = []
        self.url = ""
        self.port = 0

    async def start(self) -> web.AppRunner:
        app = web.Application()
        app.router.add_post("/{name:.*}", self._answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=self._context)
        await site.start()
        self.port = runner.addresses[0][1]
        self.url = f"https://127.0.0.1:{self.port}"
        return runner

    @property
    def called(self) -> list[str]:
        return [name for name, _, _ in self.calls]

    @property
    def reviews(self) -> list[dict[str, Any]]:
        return [review["request"] for _, _, review in self.calls]

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        review = await request.json()
        name = request.match_info["name"]
        self.calls.append((name, request, review))
        script = self.answers.get(name, [])
        answer = script.pop(0) if len(script) > 1 else (script[0] if script else {"allowed": True})
        if callable(answer):
            return await answer(request)
        response = {"uid": review["request"]["uid"], **answer}
        if "patch" in response and not isinstance(response["patch"], str):
            response["patch"] = base64.b64encode(json.dumps(response["patch"]).encode()).decode()
            response.setdefault("patchType", "JSONPatch")
        return web.json_response(
            {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "response": response}
        )


class World:
    """The configurations of a cluster and the chain over them."""

    def __init__(self, webhook: ScriptedWebhook, endpoints: WebhookEndpoints) -> None:
        self.webhook = webhook
        self.mutating: list[dict[str, Any]] = []
        self.validating: list[dict[str, Any]] = []
        self.chain = AdmissionChain(lambda: self.mutating, lambda: self.validating, endpoints)
        self.warnings: list[str] = []

    def add(self, kind: str, configuration: str, *webhooks: Mapping[str, Any]) -> None:
        """Store a configuration that calls its webhooks for every ConfigMap by default."""
        base = {
            "clientConfig": {
                "url": f"{self.webhook.url}/{configuration}",
                "caBundle": self.webhook.ca_bundle,
            },
            "rules": [
                {
                    "apiGroups": [""],
                    "apiVersions": ["v1"],
                    "resources": ["configmaps"],
                    "operations": ["*"],
                }
            ],
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
        }
        full = [
            {"name": f"{configuration}.example.com", **base, **webhook}
            for webhook in webhooks or ({},)
        ]
        document = {
            "kind": f"{kind}WebhookConfiguration",
            "metadata": {"name": configuration},
            "webhooks": full,
        }
        stored = self.mutating if kind == "Mutating" else self.validating
        stored.append(with_defaults(document))

    async def mutate(self, request: AdmissionRequest):
        return await self.chain.mutate(request, self.warnings.append)

    async def validate(self, request: AdmissionRequest) -> None:
        await self.chain.validate(request, self.warnings.append)


def endpoints_of(webhook: ScriptedWebhook) -> WebhookEndpoints:
    return WebhookEndpoints({("team", "hook"): Address("127.0.0.1", webhook.port)})


def configmap(name: str = "a", **more: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "ns"},
        **more,
    }


def write(operation: Operation = Operation.CREATE, **changes: Any) -> AdmissionRequest:
    """One write of ConfigMap ns/a by admin."""
    values: dict[str, Any] = {
        "operation": operation,
        "resource": CONFIGMAPS,
        "name": "a",
        "namespace": "ns",
        "user": ADMIN,
        "object": None if operation is Operation.DELETE else configmap(),
        "old_object": None if operation is Operation.CREATE else configmap(),
        "namespace_labels": {"kubernetes.io/metadata.name": "ns"},
    }
    return AdmissionRequest(**(values | changes))


async def never(request: web.Request) -> web.StreamResponse:
    """Keep the caller waiting until it gives up."""
    await asyncio.Event().wait()
    raise AssertionError
