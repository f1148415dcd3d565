"""The command `python -m demo`, which `make demo` runs.

It runs every step and exits with 0 only if each one is verified. It changes nothing
outside of a temporary folder, or of its own namespaces on an existing cluster.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from demo.clusters import ClusterInMemory, ExistingCluster
from demo.processes import Processes
from demo.story import Story
from demo.terminal import PLAIN, RED, StoryError, Terminal


def main() -> int:
    """Run the demo; return the exit code."""
    options = _parser().parse_args()
    with tempfile.TemporaryDirectory(prefix="configmapsync-demo-") as name:
        folder = Path(name)
        try:
            with Processes(folder) as processes:
                in_memory = options.cluster == "memory"
                cluster = ClusterInMemory(processes, folder) if in_memory else ExistingCluster()
                terminal = Terminal(find_kubectl(), cluster.kubeconfig, verbose=options.verbose)
                Story(cluster, terminal).run(keep=options.keep)
        except StoryError as failure:
            print(f"{RED}✗ {failure}{PLAIN}", file=sys.stderr)
            for log in sorted(folder.glob("*.log")):
                print(f"--- last lines of {log.name}\n{log.read_text()[-3000:]}", file=sys.stderr)
            return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="demo", description="Show ConfigMapSync at work.")
    parser.add_argument(
        "--cluster",
        choices=("memory", "existing"),
        default="memory",
        help="an API server in memory, or the cluster of the current context",
    )
    parser.add_argument(
        "--keep", action="store_true", help="wait for Ctrl-C before the last step of the story"
    )
    parser.add_argument("--verbose", action="store_true", help="print the set-up as well")
    return parser


def find_kubectl() -> str:
    """Return the path of kubectl, or of the one that `make kubectl` has unpacked.

    Raises:
        StoryError: there is none.
    """
    beside = Path(sys.executable).parent / "kubectl"
    found = shutil.which("kubectl") or (str(beside) if beside.exists() else None)
    if found is None:
        raise StoryError(
            "kubectl is not on the path, and its package has no build for this machine. "
            "Install it and try again."
        )
    return found


if __name__ == "__main__":
    sys.exit(main())
