"""The command `python -m demo [--keep]`, which `make demo` runs.

It runs every step and exits with 0 only if each one is verified. It changes nothing
outside of a temporary folder.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from demo.processes import Processes
from demo.story import Story
from demo.terminal import PLAIN, RED, StoryError


def main() -> int:
    """Run the demo; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="demo", description="Show ConfigMapSync at work, without a cluster."
    )
    parser.add_argument(
        "--keep", action="store_true", help="leave all processes running until Ctrl-C"
    )
    keep = parser.parse_args().keep
    with tempfile.TemporaryDirectory(prefix="configmapsync-demo-") as name:
        folder = Path(name)
        try:
            with Processes(folder) as processes:
                Story(processes, folder, find_kubectl()).run(keep=keep)
        except StoryError as failure:
            print(f"{RED}✗ {failure}{PLAIN}", file=sys.stderr)
            for log in sorted(folder.glob("*.log")):
                print(f"--- last lines of {log.name}\n{log.read_text()[-3000:]}", file=sys.stderr)
            return 1
    return 0


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
