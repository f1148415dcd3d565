"""Build docs/ as a site: `make docs` runs Sphinx with this configuration.

The pages stay readable as plain Markdown. `index.md` includes the README, and links to
other pages of the repository's top folder are pointed to the pages that include them.
"""

import re
from typing import Any

project = "ConfigMapSync"
author = "The ConfigMapSync authors"
extensions = ["myst_parser"]
myst_heading_anchors = 3
myst_enable_extensions = ["attrs_inline"]
exclude_patterns = ["exercises"]
html_theme = "furo"
html_title = "ConfigMapSync"
html_show_sphinx = False
html_show_sourcelink = False
html_copy_source = False
# Languages that Pygments does not know are shown as plain text.
suppress_warnings = ["misc.highlighting_failure"]

# The pages that include a file of the top folder.
INCLUDED = {
    "README.md": "/index.md",
    "CONTRIBUTING.md": "/project/contributing.md",
    "CHANGELOG.md": "/project/changelog.md",
    "SECURITY.md": "/project/security.md",
}
LINK = re.compile(r"\]\((?:\.\./)*(README|CONTRIBUTING|CHANGELOG|SECURITY)\.md(#[\w-]+)?\)")


LICENSE_LINK = re.compile(r"\[([^\]]+)\]\(LICENSE\)")


def relink(text: str) -> str:
    """Point links to files of the top folder to the pages that include them."""
    linked = LINK.sub(lambda link: f"]({INCLUDED[link[1] + '.md']}{link[2] or ''})", text)
    return LICENSE_LINK.sub(r"\1", linked)


def _page_read(_app: object, page: str, source: list[str]) -> None:
    if not page.startswith("decisions/"):  # these link to their own README
        source[0] = relink(source[0])


def _file_included(_app: object, _path: object, _page: str, source: list[str]) -> None:
    source[0] = relink(source[0])


def setup(app: Any) -> None:
    """Connect the functions above."""
    app.connect("source-read", _page_read)
    app.connect("include-read", _file_included)
