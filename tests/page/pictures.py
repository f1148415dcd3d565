"""Draw the pictures of docs/page.md with `make pictures`.

Run it by hand after a change of the page. A reconciler runs on devcluster with the
scene of the browser tests, and Chromium takes the pictures.
"""

import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from tests.journeys.accounts import kubeconfig_of
from tests.journeys.conftest import ROOT, install_crd
from tests.page import chromium, scene
from tests.page.chromium import Scheme, Window
from tests.support.clusters import started
from tests.support.processes import LOCAL_ADDRESS, Process, free_port


class Picture(NamedTuple):
    """A picture: its file in docs/, the address on the page, and the window."""

    name: str
    path: str
    width: int
    height: int
    scheme: Scheme


PICTURES = (
    Picture("page-light.png", "/?sync=platform/log-settings", 1360, 860, "light"),
    Picture("page-dark.png", "/?sync=platform/log-settings", 1360, 860, "dark"),
    Picture("page-graph-light.png", "/?view=graph", 1480, 940, "light"),
)


def main() -> int:
    """Run a reconciler and take the pictures; return the exit code."""
    program = chromium.program()
    if program is None:
        sys.stderr.write("there is no Chromium: install Debian's package chromium\n")
        return 1
    with tempfile.TemporaryDirectory() as name, ExitStack() as until_the_end:
        folder = Path(name)
        (folder / "cluster").mkdir()
        cluster = until_the_end.enter_context(started("devcluster", folder / "cluster"))
        install_crd(cluster)
        scene.create(cluster)
        page, health = f"{LOCAL_ADDRESS}:{free_port()}", f"{LOCAL_ADDRESS}:{free_port()}"
        process = Process.python(
            *("reconciler", "--kubeconfig", kubeconfig_of(cluster, "reconciler")),
            *("--health-address", health, "--page-address", page),
            log=folder / "reconciler.log",
        )
        until_the_end.callback(process.stop)
        process.wait_until_answering(f"http://{health}/readyz")
        scene.wait(cluster)
        browser = until_the_end.enter_context(chromium.running(program))
        for picture in PICTURES:
            window = Window(
                browser, width=picture.width, height=picture.height, scheme=picture.scheme
            )
            opened = window.open(f"http://{page}{picture.path}")
            opened.wait_for_load_state("networkidle")
            opened.evaluate("document.activeElement.blur()")
            opened.screenshot(path=ROOT / "docs" / picture.name)
            window.close()
            sys.stdout.write(f"docs/{picture.name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
