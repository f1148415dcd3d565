"""Check the words of docstrings, comments, log messages and Markdown.

`make prose` calls it. It reads every tracked `*.py` and `*.md` file and prints one
line for each finding: `PATH:LINE: RULE: TEXT`. It changes no file. Text in backticks is
code and is not checked.
"""

import argparse
import ast
import io
import re
import subprocess
import sys
import tokenize
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
COLUMNS = 100  # also the line length of the formatter, once the whole tree keeps it
MODULE_DOCSTRING_COLUMNS = 88
MODULE_DOCSTRING_SENTENCES = 6
EXCERPT_COLUMNS = 80
LOG_LEVELS = frozenset({"debug", "info", "warning", "error", "exception", "critical"})

# Files that are not checked, each with the reason.
EXCLUDED_FILES = {
    "tests/contract/conformance.py": "an upstream file, kept byte for byte",
}
# Modules whose docstring explains an algorithm and may have more sentences, each with the reason.
LONG_MODULE_DOCSTRINGS = {
    "kube/leader_election.py": "the four rules that make leader election safe",
    "runtime/garbage.py": "what a full collection costs, and why the cached objects are frozen",
}

RULES = {
    "pronoun": "name the person, process or object in place of a free pronoun",
    "tell": "use report, log, emit, return, render or print",
    "line-length": f"at most {COLUMNS} columns",
    "summary-length": f"the first line of a docstring has at most {COLUMNS} columns",
    "module-docstring": "say what the module does, who calls it and what it must not do, then stop",
    "log-message": "a constant message that begins in lower case",
}

PRONOUN = re.compile(
    r"\b(?:whoever|nobody|somebody|anybody|everybody|someone|anyone|everyone|no\s+one)\b",
    re.IGNORECASE,
)
# `who` is a relative pronoun after a noun. At the start of a sentence, clause or table cell it has
# no noun.
# There is no comma in the list, because "administrators, who may ..." is a relative clause too.
CLAUSE_START = r"(?:\A\W*|[.;:!?|\u2013\u2014]\s+|[(]|\b(?:and|or|but|that)\s+)"
FREE_WHO = re.compile(CLAUSE_START + r"(who)\b", re.IGNORECASE)
TELL = re.compile(r"\b(?:tell|tells|told|telling)\b", re.IGNORECASE)
SENTENCE_END = re.compile(r"[.!?](?=\s|\Z)")
ABBREVIATION = re.compile(r"\b(?:e\.g|i\.e|etc|vs|cf)\.", re.IGNORECASE)
CODE_SPAN = re.compile(r"(`+)(?:.|\n)+?\1")
LINK_TARGET = re.compile(r"(?<=\])(?:\([^)\s]*\)|\[[^\]]*\])|<?https?://[^\s>)]+>?")
LIST_ITEM = re.compile(r"\s*(?:[-*+]|\d+[.)])\s+")
FENCE = re.compile(r"\s*(```+|~~~+)")
REFERENCE_LINK = re.compile(r"\s*\[[^\]]+\]:\s")
# The formatter does not count these comments either.
PRAGMA = re.compile(r"\s*#\s*(?:noqa|type:|pragma:|pylint:|pyright:|ruff:).*$")


Lines = Sequence[str]


@dataclass(frozen=True, order=True)
class Finding:
    """One place that breaks a rule."""

    path: str
    line: int
    rule: str
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.rule}: {self.text}"

    @property
    def folder(self) -> str:
        """The top-level folder, or `.` for a file at the root."""
        return self.path.partition("/")[0] if "/" in self.path else "."


@dataclass(frozen=True)
class Paragraph:
    """Text that is read as one: a clause does not end where a line of it ends."""

    line: int
    lines: tuple[str, ...]

    def findings(self, path: str) -> Iterator[Finding]:
        """Yield the places where the words break a rule."""
        text = CODE_SPAN.sub(_blank, LINK_TARGET.sub(_blank, "\n".join(self.lines)))
        for match in PRONOUN.finditer(text):
            yield self._finding(path, "pronoun", match.start())
        for match in FREE_WHO.finditer(text):
            if not _is_question(text, match.end()):
                yield self._finding(path, "pronoun", match.start(1))
        for match in TELL.finditer(text):
            yield self._finding(path, "tell", match.start())

    def _finding(self, path: str, rule: str, offset: int) -> Finding:
        number = "\n".join(self.lines).count("\n", 0, offset)
        start = sum(len(line) + 1 for line in self.lines[:number])
        return Finding(path, self.line + number, rule, _excerpt(self.lines[number], offset - start))


def findings_in_python(path: str, source: str) -> list[Finding]:
    """Return the findings in a Python file.

    Args:
        path: of the file, relative to the repository; it appears in the findings.
        source: the text of the file.
    """
    tree = ast.parse(source)
    lines = source.splitlines()
    found = [finding for paragraph in _comments(source) for finding in paragraph.findings(path)]
    summaries = set()
    for node in ast.walk(tree):
        match node:
            case ast.Expr(value=ast.Constant(value=str()) as docstring):
                found += _findings_in_docstring(path, lines, docstring)
                summaries.add(docstring.lineno)
            case ast.Call(func=ast.Attribute(value=logger, attr=level), args=[message, *_]):
                if level in LOG_LEVELS and re.search(r"\b_?log(?:ger)?$", ast.unparse(logger)):
                    found += _findings_in_log_call(path, message)
            case ast.Module(body=[ast.Expr(value=ast.Constant(value=str()) as docstring), *_]):
                found += _findings_in_module_docstring(path, lines, docstring)
    for number, line in enumerate(lines, 1):
        if _is_too_long(PRAGMA.sub("", line)):
            rule = "summary-length" if number in summaries else "line-length"
            found.append(Finding(path, number, rule, _excerpt(line)))
    return sorted(set(found))


def findings_in_markdown(path: str, source: str) -> list[Finding]:
    """Return the findings in a Markdown file.

    Args:
        path: of the file, relative to the repository; it appears in the findings.
        source: the text of the file.
    """
    found = list[Finding]()
    for paragraph in _markdown_paragraphs(source):
        found += paragraph.findings(path)
        for number, line in enumerate(paragraph.lines, paragraph.line):
            if not line.lstrip().startswith("|") and _is_too_long(LINK_TARGET.sub("", line)):
                found.append(Finding(path, number, "line-length", _excerpt(line)))
    return sorted(set(found))


def _findings_in_docstring(path: str, lines: Lines, node: ast.Constant) -> Iterator[Finding]:
    text = lines[node.lineno - 1 : node.end_lineno]
    first = text[0].encode()[node.col_offset :].decode()
    body = [first.lstrip("rRuUbBfF").strip("\"'"), *text[1:]]
    body[-1] = body[-1].rstrip().removesuffix('"""').removesuffix("'''")
    for paragraph in _paragraphs(node.lineno, body):
        yield from paragraph.findings(path)


def _findings_in_module_docstring(path: str, lines: Lines, node: ast.Constant) -> Iterator[Finding]:
    text = CODE_SPAN.sub("code", ABBREVIATION.sub("", str(node.value)))
    sentences = len(SENTENCE_END.findall(text))
    if sentences > MODULE_DOCSTRING_SENTENCES and path not in LONG_MODULE_DOCSTRINGS:
        yield Finding(path, node.lineno, "module-docstring", f"{sentences} sentences")
    for number in range(node.lineno, (node.end_lineno or node.lineno) + 1):
        if MODULE_DOCSTRING_COLUMNS < len(lines[number - 1]) <= COLUMNS:  # above it is another rule
            yield Finding(path, number, "module-docstring", _excerpt(lines[number - 1]))


def _findings_in_log_call(path: str, message: ast.expr) -> Iterator[Finding]:
    if not (isinstance(message, ast.Constant) and isinstance(message.value, str)):
        yield Finding(path, message.lineno, "log-message", _excerpt(ast.unparse(message)))
        return
    first = re.match(r"[A-Za-z]+", message.value)
    if first and first[0][0].isupper() and not (first[0].isupper() and len(first[0]) > 1):
        yield Finding(path, message.lineno, "log-message", _excerpt(message.value))
    yield from Paragraph(message.lineno, (message.value,)).findings(path)


def _comments(source: str) -> Iterator[Paragraph]:
    """Yield the comments; full-line comments that follow each other are one text."""
    block: list[tuple[int, str]] = []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT:
            continue
        text = token.string.lstrip("#:!").strip()
        if token.line[: token.start[1]].strip():  # behind code
            yield Paragraph(token.start[0], (text,))
            continue
        if block and token.start[0] != block[-1][0] + 1:
            yield from _paragraphs(block[0][0], [line for _, line in block])
            block = []
        block.append((token.start[0], text))
    if block:
        yield from _paragraphs(block[0][0], [line for _, line in block])


def _paragraphs(first: int, lines: Sequence[str]) -> Iterator[Paragraph]:
    """Split at blank lines and list items."""
    start, collected = first, list[str]()
    for number, line in enumerate(lines, first):
        if collected and (not line.strip() or LIST_ITEM.match(line)):
            yield Paragraph(start, tuple(collected))
            collected = []
        if line.strip():
            if not collected:
                start = number
            collected.append(line)
    if collected:
        yield Paragraph(start, tuple(collected))


def _markdown_paragraphs(source: str) -> Iterator[Paragraph]:
    """Yield the text outside code blocks. A heading and a table row stand alone."""
    text: list[str] = []
    fence = ""
    in_list = after_blank = False
    for line in source.splitlines():
        mark = FENCE.match(line)
        if fence:
            text.append("")
            fence = "" if mark and mark[1].startswith(fence) else fence
            continue
        in_list = bool(LIST_ITEM.match(line)) or (in_list and (not line.strip() or line[0] == " "))
        indented_code = line.startswith("    ") and after_blank and not in_list
        after_blank = not line.strip() or indented_code
        fence = mark[1] if mark else ""
        text.append("" if mark or indented_code or REFERENCE_LINK.match(line) else line)
    start = 1
    for number, line in enumerate([*text, ""], 1):
        if line.lstrip().startswith(("|", "#")):
            yield from _paragraphs(start, text[start - 1 : number - 1])
            start = number + 1
            yield Paragraph(number, (line,))
    yield from _paragraphs(start, text[start - 1 :])


def _blank(match: re.Match[str]) -> str:
    """Replace code by as many characters that match no rule."""
    return re.sub(r"[^\n]", "_", match[0])


def _is_question(text: str, offset: int) -> bool:
    end = re.search(r"[.;!?]", text[offset:])
    return end is not None and end[0] == "?"


def _is_too_long(line: str) -> bool:
    """Whether a line could be broken: one long word, such as an address, cannot."""
    return len(line) > COLUMNS and len(line.split()) > 2


def _excerpt(line: str, offset: int = 0) -> str:
    start = max(0, offset - EXCERPT_COLUMNS // 2)
    cut = line[start : start + EXCERPT_COLUMNS].strip()
    return f"{'...' if start else ''}{cut}{'...' if start + EXCERPT_COLUMNS < len(line) else ''}"


def tracked_files(folders: Sequence[str] = ()) -> list[str]:
    """Return the Python and Markdown files that git tracks, relative to the repository.

    Args:
        folders: only files in these folders, or these files; all when empty.
    """
    command = ["git", "ls-files", "-z", "--", *(folders or ["."])]
    listing = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [
        path
        for path in listing.split("\0")
        if path.endswith((".py", ".md")) and path not in EXCLUDED_FILES and (ROOT / path).exists()
    ]


def findings_in(paths: Iterable[str]) -> Iterator[Finding]:
    """Yield the findings of files whose paths are relative to the repository."""
    for path in paths:
        source = (ROOT / path).read_text(encoding="utf-8")
        check = findings_in_python if path.endswith(".py") else findings_in_markdown
        yield from check(path, source)


def statistics(findings: Iterable[Finding]) -> str:
    """Render the number of findings for each rule and top-level folder."""
    counts = Counter((finding.folder, finding.rule) for finding in findings)
    folders = sorted({folder for folder, _ in counts})
    table = [["", *RULES, "all"]]
    for folder in folders:
        row = [counts[folder, rule] for rule in RULES]
        table.append([folder, *map(str, row), str(sum(row))])
    columns = [sum(counts[folder, rule] for folder in folders) for rule in RULES]
    table.append(["all", *map(str, columns), str(sum(columns))])
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    rendered = []
    for head, *cells in table:
        padded = [cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True)]
        rendered.append("  ".join([head.ljust(widths[0]), *padded]))
    return "\n".join(rendered)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the findings. Return 1 if there is one, otherwise 0."""
    parser = argparse.ArgumentParser(
        prog="prose.py",
        description="Check the words of docstrings, comments, log messages and Markdown.",
        epilog="rules: " + "; ".join(f"{rule}: {advice}" for rule, advice in RULES.items()),
    )
    only_help = "check only these folders or files"
    parser.add_argument("--only", nargs="+", default=[], metavar="FOLDER", help=only_help)
    statistics_help = "print counts by rule and top-level folder"
    parser.add_argument("--statistics", action="store_true", help=statistics_help)
    options = parser.parse_args(arguments)
    findings = list(findings_in(tracked_files(options.only)))
    if options.statistics:
        print(statistics(findings))
    else:
        for finding in findings:
            print(finding)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
