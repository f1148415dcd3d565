"""Remove the CRD, and with it every ConfigMapSync, so that nothing is left hanging whatever else is gone already.

`make uninstall` runs it. While a reconciler runs, it cleans up: copies go or stay by their sync's deletionPolicy. Where none does, nobody
would ever take the finalizers off, and the CRD and each namespace with a sync in it would hang in their deletion for ever. Then they are
taken off here; the copies stay, with their marks, and are told of.
"""

import argparse
import json
import subprocess
import sys
import time
from typing import Any

from kubectl import find

CRD = "customresourcedefinition/configmapsyncs.apps.nishaf.info"
SYNCS = "configmapsyncs.apps.nishaf.info"
FINALIZER = "apps.nishaf.info/cleanup"
COPIES_SELECTOR = "--selector=app.kubernetes.io/managed-by=configmapsync"


def main() -> int:
    """Remove everything, telling what is done; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--patience",
        type=float,
        default=30.0,
        help="seconds without a sync or a copy going after which nobody cleans up",
    )
    patience = parser.parse_args().patience
    if not kubectl("get", CRD, "--ignore-not-found", "--output=name"):
        print("There is no ConfigMapSync in this cluster.")
        return 0
    kubectl("delete", SYNCS, "--all", "--all-namespaces", "--wait=false")
    released = [release(sync) for sync in left_after(patience)]
    kubectl("delete", CRD, "--ignore-not-found", "--timeout=60s")
    print("The ConfigMapSync CRD is gone.")
    if released:
        print(
            f"No reconciler cleaned up after {', '.join(sorted(released))}. Their copies are still there:"
        )
        print(f"  kubectl get configmaps --all-namespaces {COPIES_SELECTOR}")
    return 0


def left_after(patience: float) -> list[dict[str, Any]]:
    """Wait while syncs or copies go; return the syncs that are left when nothing has gone for `patience` seconds."""
    left, fewest, deadline = syncs(), copies(), time.monotonic() + patience
    while left and time.monotonic() < deadline:
        time.sleep(0.2)  # noqa: TID251 - a script that waits for another process
        before, left, now = len(left), syncs(), copies()
        if len(left) < before or now < fewest:
            fewest, deadline = now, time.monotonic() + patience
    return left


def copies() -> int:
    """Count the copies there are: their rows, not their contents."""
    return len(
        kubectl(
            "get", "configmaps", "--all-namespaces", COPIES_SELECTOR, "--no-headers"
        ).splitlines()
    )


def syncs() -> list[dict[str, Any]]:
    """Return every ConfigMapSync there is."""
    items: list[dict[str, Any]] = json.loads(
        kubectl("get", SYNCS, "--all-namespaces", "--output=json")
    )["items"]
    return items


def release(sync: dict[str, Any]) -> str:
    """Take our finalizer, and no other, off a sync that is being deleted; return its name."""
    metadata = sync["metadata"]
    others = [finalizer for finalizer in metadata.get("finalizers", []) if finalizer != FINALIZER]
    patch = json.dumps(
        {"metadata": {"finalizers": others, "resourceVersion": metadata["resourceVersion"]}}
    )
    kubectl(
        "patch",
        SYNCS,
        metadata["name"],
        f"--namespace={metadata['namespace']}",
        "--type=merge",
        "--patch",
        patch,
    )
    return f"{metadata['namespace']}/{metadata['name']}"


def kubectl(*arguments: str) -> str:
    """Run kubectl and return what it printed, or end with what it complained of."""
    done = subprocess.run(
        [find() or "kubectl", *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"kubectl {' '.join(arguments)}: {done.stderr}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
