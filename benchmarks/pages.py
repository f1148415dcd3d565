"""Put measured tables into the pages that show them.

The entry points call it if asked. A table stands between two comments with its name,
and nothing else of a page is changed.
"""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PERFORMANCE, README = ROOT / "docs" / "performance.md", ROOT / "README.md"


def put_table(page: Path, name: str, table: str) -> None:
    """Replace the table `name` of a page.

    Raises:
        LookupError: the page has no such table.
    """
    text = page.read_text()
    block = _block(name)
    if not block.search(text):
        raise LookupError(f"{page.name} has no table {name!r}")
    page.write_text(block.sub(lambda found: f"{found[1]}\n{table.strip()}\n{found[3]}", text))


def table_of(page: Path, name: str) -> str:
    """Return the table `name` of a page.

    Raises:
        LookupError: the page has no such table.
    """
    found = _block(name).search(page.read_text())
    if found is None:
        raise LookupError(f"{page.name} has no table {name!r}")
    return found[2].strip()


def _block(name: str) -> re.Pattern[str]:
    return re.compile(rf"(<!-- measured: {name} -->)\n(.*?)(<!-- end -->)", re.DOTALL)
