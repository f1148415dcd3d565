"""Start Debian's Chromium without a window, and open the page in it.

The browser tests and `pictures.py` use it. Playwright drives the browser that the
system has and downloads none.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from playwright.sync_api import Browser, Page, sync_playwright

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--no-sandbox",  # the tests may run as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
TIMEOUT_MILLISECONDS = 20_000

Scheme = Literal["light", "dark"]


def program() -> str | None:
    """Return the path of a Chromium; None if there is none."""
    return next((path for name in PROGRAMS if (path := shutil.which(name))), None)


@contextmanager
def running(path: str) -> Iterator[Browser]:
    """Run a browser during the block."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


class Window:
    """A page of the browser that records what must not happen."""

    def __init__(
        self, browser: Browser, *, width: int = 1280, height: int = 900, scheme: Scheme = "light"
    ) -> None:
        """Open a window with a profile of its own."""
        self._context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme
        )
        self._context.set_default_timeout(TIMEOUT_MILLISECONDS)
        self.page: Page = self._context.new_page()
        self.problems: list[str] = []
        self.requested: list[str] = []
        self.page.on("console", lambda message: self._note(message.type, message.text))
        self.page.on("pageerror", lambda error: self._note("error", str(error)))
        self.page.on("request", lambda request: self.requested.append(request.url))

    def open(self, url: str) -> Page:
        """Open an address of the page and wait until its content is there.

        A notice that the content loads, which a slow answer causes, is not the content.
        """
        self.page.goto(url)
        content = self.page.locator("#content > :not(noscript)")
        content.filter(has_not_text="Loading…").first.wait_for()
        return self.page

    def offline(self, *, offline: bool) -> None:
        """Cut the network of the browser, or restore it."""
        self._context.set_offline(offline)

    def close(self) -> None:
        """Close the window."""
        self._context.close()

    def _note(self, kind: str, text: str) -> None:
        if kind in {"error", "warning"}:
            self.problems.append(text)
