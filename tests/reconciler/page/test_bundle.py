"""The files of the page fit together, are served, and are part of the distribution."""

import re
import tomllib
from fnmatch import fnmatch
from pathlib import Path

from reconciler.page.bundle import CONTENT_TYPES, STATIC
from tests.reconciler.page.bench import Bench

ROOT = Path(__file__).parents[3]
FILES = {file.name: file.read_text(encoding="utf-8") for file in STATIC.iterdir()}
COLUMNS = 100


def referenced() -> set[str]:
    """Return the files that the page or one of its modules names."""
    in_html = re.findall(r'(?:href|src)="/([\w.]+)"', FILES["index.html"])
    modules = (text for name, text in FILES.items() if name.endswith(".js"))
    imported = [name for text in modules for name in re.findall(r'from "\./([\w.]+)"', text)]
    return {*in_html, *imported}


def test_every_file_is_used_and_every_used_file_exists() -> None:
    assert referenced() | {"index.html"} == set(FILES)


async def test_every_file_is_served_with_its_type(bench: Bench) -> None:
    for name, text in FILES.items():
        answer = await bench.get("/" if name == "index.html" else f"/{name}")

        assert (answer.status, answer.text) == (200, text)
        assert (
            answer.headers["Content-Type"] == f"{CONTENT_TYPES[Path(name).suffix]}; charset=utf-8"
        )


def test_the_distribution_has_every_file() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = project["tool"]["setuptools"]["package-data"]["reconciler.page"]

    assert [
        name
        for name in FILES
        if not any(fnmatch(f"{STATIC.name}/{name}", pattern) for pattern in patterns)
    ] == []


def test_nothing_comes_from_elsewhere() -> None:
    """An outside address would be a request that the page's policy refuses."""
    named = {
        address
        for text in FILES.values()
        for address in re.findall(r"(?:https?:)?//[\w.-]+\.[a-z]{2,}[^\s\"']*", text)
    }

    assert named == {"http://www.w3.org/2000/svg"}  # the namespace of SVG


def test_no_text_becomes_markup() -> None:
    """The names and messages that the page shows are chosen by users."""
    forbidden = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b")

    assert [name for name, text in FILES.items() if forbidden.search(text)] == []


def test_the_files_can_be_read_as_they_are() -> None:
    long = [
        f"{name}: {line}"
        for name, text in FILES.items()
        for line in text.splitlines()
        if len(line) > COLUMNS
    ]

    assert long == []
