"""`python -m demo [--keep]`: tell the story; exit code 0 only if every step came true."""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from demo.processes import Processes
from demo.story import Story
from demo.terminal import PLAIN, RED, StoryFailed


def main() -> int:
    """Run the demo; returns the exit code."""
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave everything running until Ctrl-C")
    keep = parser.parse_args().keep
    with tempfile.TemporaryDirectory(prefix="configmapsync-demo-") as name:
        folder = Path(name)
        try:
            with Processes(folder) as processes:
                Story(processes, folder, find_kubectl()).tell(keep=keep)
        except StoryFailed as failure:
            print(f"{RED}✗ {failure}{PLAIN}", file=sys.stderr)
            for log in sorted(folder.glob("*.log")):
                print(f"--- the end of {log.name}\n{log.read_text()[-3000:]}", file=sys.stderr)
            return 1
    return 0


def find_kubectl() -> str:
    """The kubectl of the path, or the one `make venv` has unpacked."""
    beside = Path(sys.executable).parent / "kubectl"
    found = shutil.which("kubectl") or (str(beside) if beside.exists() else None)
    if found is None:
        raise StoryFailed(
            "kubectl is not on the path, and no package of it fits this machine; install it and try again"
        )
    return found


if __name__ == "__main__":
    sys.exit(main())
