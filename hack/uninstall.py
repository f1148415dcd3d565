"""Delete every ConfigMapSync and the CRD, with or without a running reconciler.

`make uninstall` runs it. A running reconciler removes or releases the copies by the
deletionPolicy of each sync. Without a reconciler the finalizers would block the
deletion of the CRD and of namespaces, so the script removes them. Then the copies stay,
with their marks, and the script prints how to list them.
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
    """Delete the syncs and the CRD, print what was done, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--patience",
        type=float,
        default=30.0,
        metavar="SECONDS",
        help="remove the finalizers after this time without a deleted sync or copy; default: 30",
    )
    patience = parser.parse_args().patience
    if not kubectl("get", CRD, "--ignore-not-found", "--output=name"):
        print("There is no ConfigMapSync CRD in this cluster.")
        return 0
    kubectl("delete", SYNCS, "--all", "--all-namespaces", "--wait=false")
    released = [release(sync) for sync in left_after(patience)]
    kubectl("delete", CRD, "--ignore-not-found", "--timeout=60s")
    print("The ConfigMapSync CRD is deleted.")
    if released:
        print(f"No reconciler cleaned up {', '.join(sorted(released))}. The copies remain:")
        print(f"  kubectl get configmaps --all-namespaces {COPIES_SELECTOR}")
    return 0


def left_after(patience: float) -> list[dict[str, Any]]:
    """Return the syncs that remain when no sync or copy was deleted for `patience` seconds."""
    left, fewest, deadline = syncs(), copies(), time.monotonic() + patience
    while left and time.monotonic() < deadline:
        time.sleep(0.2)  # noqa: TID251 - a script that waits for another process
        before, left, now = len(left), syncs(), copies()
        if len(left) < before or now < fewest:
            fewest, deadline = now, time.monotonic() + patience
    return left


def copies() -> int:
    """Return the number of copies, without a read of their contents."""
    return len(
        kubectl(
            "get", "configmaps", "--all-namespaces", COPIES_SELECTOR, "--no-headers"
        ).splitlines()
    )


def syncs() -> list[dict[str, Any]]:
    """Return every ConfigMapSync."""
    items: list[dict[str, Any]] = json.loads(
        kubectl("get", SYNCS, "--all-namespaces", "--output=json")
    )["items"]
    return items


def release(sync: dict[str, Any]) -> str:
    """Remove the operator's finalizer, and no other, from a sync; return its name."""
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
    """Run kubectl and return its output; exit with its error message if it fails."""
    done = subprocess.run(
        [find() or "kubectl", *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"kubectl {' '.join(arguments)}: {done.stderr}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
