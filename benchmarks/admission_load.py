"""Make the objects of a large cluster at random, the same in every run.

`admission.py` and `admission_api.py` call it.
"""

import json
import random
from typing import Any

from configmapsync.names import API_VERSION, KIND, PLURAL

SEED = 20_261_123


def seeded(offset: int = 0) -> random.Random:
    """Return a generator that gives the same values in every run."""
    return random.Random(SEED + offset)  # noqa: S311 - no secret


def a_spec(rng: random.Random, number: int, namespaces: int) -> dict[str, Any]:
    """Return a random spec: 70 % name their destinations, 20 % use a glob, 10 % a selector."""
    form = rng.random()
    spec: dict[str, Any] = {
        "configMapName": f"config-{number}",
        "sourceNamespace": f"team-{rng.randrange(namespaces)}",
    }
    if form < 0.7:
        spec["destinationNamespaces"] = sorted(
            {f"team-{rng.randrange(namespaces)}" for _ in range(rng.randrange(1, 6))}
        )
    elif form < 0.9:
        spec["destinationNamespaces"] = [f"team-{rng.randrange(100)}*"]
    else:
        spec["destinationNamespaceSelector"] = {
            "matchLabels": {"stage": rng.choice(("dev", "test", "live"))}
        }
    return spec | {"destinationConfigMapName": f"copy-of-{number}"}


def a_sync(rng: random.Random, number: int, namespaces: int) -> dict[str, Any]:
    """Return a sync of a realistic size."""
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {
            "namespace": f"team-{number % namespaces}",
            "name": f"sync-{number}",
            "uid": f"00000000-0000-4000-8000-{number:012d}",
            "resourceVersion": str(number + 1),
            "creationTimestamp": "2026-11-23T04:20:25Z",
            "generation": 1,
            "managedFields": [
                {"manager": "kubectl", "operation": "Apply", "fieldsV1": {"f:spec": {}}}
            ],
        },
        "spec": a_spec(rng, number, namespaces),
        "status": {
            "observedGeneration": 1,
            "summary": "4/4",
            "conditions": [
                {
                    "type": "Ready",
                    "status": "True",
                    "reason": "Synced",
                    "message": "4 copies are right",
                }
            ],
        },
    }


def a_namespace(number: int) -> dict[str, Any]:
    """Return a namespace with two labels."""
    labels = {
        "kubernetes.io/metadata.name": f"team-{number}",
        "stage": ("dev", "test", "live")[number % 3],
    }
    metadata = {
        "name": f"team-{number}",
        "uid": f"n-{number}",
        "resourceVersion": str(number + 1),
        "labels": labels,
    }
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def a_review(rng: random.Random, number: int, namespaces: int) -> bytes:
    """Return the review that the API server sends for a new sync."""
    document = a_sync(rng, number, namespaces)
    request = {
        "uid": document["metadata"]["uid"],
        "operation": "CREATE",
        "resource": {"group": API_VERSION.partition("/")[0], "version": "v1", "resource": PLURAL},
        "namespace": document["metadata"]["namespace"],
        "name": document["metadata"]["name"],
        "userInfo": {"username": f"user-{number % 50}", "groups": ["system:authenticated"]},
        "object": document,
        "oldObject": None,
        "dryRun": False,
    }
    return json.dumps(
        {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
    ).encode()
