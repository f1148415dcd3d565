"""The prose check finds what the style guide forbids and accepts what it recommends."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "hack"))
import prose  # noqa: E402 - hack/ is no package

GOOD = (
    "Order does not matter. After any crash the copies converge, and the operator goes idle.",
    "A slow destination blocks only its own retries.",
    "RBAC changes emit no events, so syncs that depend on a permission are requeued periodically.",
    "wake: enqueues a sync",
    'a sync to ignore when answering "what if it did not exist?"',
    "cannot connect to the API server",
    "watch idle timeout, reconnecting",
    "could not check this request: the API server did not answer in time; try again",
    "A user who fills all slots delays only the reviews of that user.",
    "Administrators, who may change every sync, are not limited.",
    "The header `X-Who` and the word `nobody` are code.",
    "Who may edit a sync?",
)
BAD = (
    ("One that hangs keeps its own lane and nobody else's", "pronoun"),
    ("RBAC: whoever lives by one is looked at again", "pronoun"),
    ("Let who waits go on; who asks is answered", "pronoun"),
    ("Who is late gets a Conflict.", "pronoun"),
    ("The user and who asks", "pronoun"),
    ("(who asks)", "pronoun"),
    ("Somebody was faster", "pronoun"),
    ("anybody may call it", "pronoun"),
    ("the API server did not tell the webhook what it must know", "tell"),
    ("The cache is told of every write", "tell"),
    ("A function that tells the time", "tell"),
)


def rules(findings: list[prose.Finding]) -> list[str]:
    return [finding.rule for finding in findings]


def wrapped(text: str, prefix: str) -> str:
    """The text in lines of a dozen words."""
    words = text.split()
    return "\n".join(prefix + " ".join(words[at : at + 12]) for at in range(0, len(words), 12))


def as_docstring(text: str) -> str:
    return f'def call():\n    """Return a value.\n\n{wrapped(text, "    ")}\n    """\n'


def as_comment(text: str) -> str:
    return wrapped(text, "# ") + "\n"


@pytest.mark.parametrize("text", GOOD)
def test_text_in_the_recommended_style_passes(text: str) -> None:
    assert prose.findings_in_python("a.py", as_docstring(text)) == []
    assert prose.findings_in_python("a.py", as_comment(text)) == []
    assert prose.findings_in_markdown("a.md", wrapped(text, "")) == []


@pytest.mark.parametrize(("text", "rule"), BAD)
def test_each_forbidden_word_is_found_in_every_kind_of_text(text: str, rule: str) -> None:
    assert set(rules(prose.findings_in_python("a.py", as_docstring(text)))) == {rule}
    assert set(rules(prose.findings_in_python("a.py", as_comment(text)))) == {rule}
    assert set(rules(prose.findings_in_python("a.py", f"value = 1  # {text}\n"))) == {rule}
    assert set(rules(prose.findings_in_markdown("a.md", f"- {text}\n"))) == {rule}


def test_a_finding_names_the_line_of_the_word() -> None:
    source = '"""Return a value."""\n\n\n# The first line\n# is good, and nobody minds.\n'
    assert [str(each) for each in prose.findings_in_python("kube/a.py", source)] == [
        "kube/a.py:5: pronoun: is good, and nobody minds."
    ]


def test_a_line_break_does_not_begin_a_clause() -> None:
    good = "Only the user\nwho created it may delete it.\n"
    bad = "It depends.\nWho created it may delete it.\n"
    assert prose.findings_in_markdown("a.md", good) == []
    assert rules(prose.findings_in_markdown("a.md", bad)) == ["pronoun"]


def test_strings_that_are_values_are_not_prose() -> None:
    assert prose.findings_in_python("a.py", 'USER = "nobody"\ncall("told you")\n') == []


def test_long_lines_are_found_outside_tables_links_and_code() -> None:
    long = "word " * 25
    assert rules(prose.findings_in_markdown("a.md", long)) == ["line-length"]
    assert prose.findings_in_markdown("a.md", f"| {long} |\n") == []
    assert prose.findings_in_markdown("a.md", f"```\n{long}\n```\n") == []
    assert prose.findings_in_markdown("a.md", f"Text:\n\n    {long}\n") == []
    address = f"https://example.com/{'x' * 90}"
    assert prose.findings_in_markdown("a.md", f"See [the page]({address}) first.\n") == []
    assert prose.findings_in_markdown("a.md", f"[page]: {address} 'a title'\n") == []


def test_markdown_after_a_code_block_is_checked() -> None:
    assert rules(prose.findings_in_markdown("a.md", "```\nnobody\n```\nnobody\n")) == ["pronoun"]
    assert rules(prose.findings_in_markdown("a.md", "- item\n\n    nobody\n")) == ["pronoun"]
    assert rules(prose.findings_in_markdown("a.md", "| column | who asks |\n")) == ["pronoun"]


def test_long_lines_of_python_are_found_but_pragmas_do_not_count() -> None:
    code = f"value = call({', '.join(['argument'] * 8)})"
    assert (
        prose.findings_in_python("a.py", f"{code}  # noqa: S101 - the reason is rather long\n")
        == []
    )
    assert rules(prose.findings_in_python("a.py", f"{code}  # and a comment\n")) == ["line-length"]


def test_a_long_summary_line_has_a_rule_of_its_own() -> None:
    source = f'def call():\n    """Return {"a " * 60}value."""\n'
    assert rules(prose.findings_in_python("a.py", source)) == ["summary-length"]


def test_a_module_docstring_is_short_unless_its_algorithm_is_listed() -> None:
    seven = '"""' + "\n".join(["One."] + ["Another, e.g. `a.b. c`."] * 6) + '\n"""\n'
    assert rules(prose.findings_in_python("a.py", seven)) == ["module-docstring"]
    assert prose.findings_in_python(next(iter(prose.LONG_MODULE_DOCSTRINGS)), seven) == []
    assert prose.findings_in_python("a.py", seven.replace("One.", "One", 1)) == []
    wide = f'"""Do it.\n\n{"word " * 18}\n"""\n'
    assert rules(prose.findings_in_python("a.py", wide)) == ["module-docstring"]


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ('log.info("watch expired, relisting")', []),
        ('self._log.warning("lost leader lease", why=why)', []),
        ('log.info("TLS handshake failed")', []),
        ('log.info("Watch expired")', ["log-message"]),
        ('self._log.error(f"watch {name} expired")', ["log-message"]),
        ('logger.debug("watch " + name)', ["log-message"]),
        ('log.info("somebody else leads")', ["pronoun"]),
        ('log.info("was told to stop")', ["tell"]),
        ('catalog.info("Anything")', []),
    ],
)
def test_log_messages(call: str, expected: list[str]) -> None:
    assert rules(prose.findings_in_python("a.py", call + "\n")) == expected


def test_statistics_count_by_rule_and_top_level_folder() -> None:
    findings = [
        prose.Finding("kube/a.py", 1, "tell", ""),
        prose.Finding("kube/b.py", 1, "tell", ""),
        prose.Finding("README.md", 1, "pronoun", ""),
    ]
    rows = [line.split() for line in prose.statistics(findings).splitlines()]
    assert rows[0] == [*prose.RULES, "all"]
    assert [(row[0], row[-1]) for row in rows[1:]] == [(".", "1"), ("kube", "2"), ("all", "3")]


def test_the_exceptions_name_files_that_exist() -> None:
    listed = (*prose.EXCLUDED_FILES, *prose.LONG_MODULE_DOCSTRINGS)
    assert [path for path in listed if not (ROOT / path).exists()] == []


def test_the_command_prints_findings_and_fails_only_if_there_are_any() -> None:
    clean = _run("--only", "hack/prose.py")
    assert (clean.returncode, clean.stdout) == (0, "")
    help_text = _run("--help").stdout
    assert re.search(r"--only FOLDER", help_text)


def test_the_command_fails_on_a_finding(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    (tmp_path / "kube").mkdir()
    (tmp_path / "kube" / "a.py").write_text("# nobody\n")
    (tmp_path / "untracked.py").write_text("# nobody\n")
    subprocess.run(["git", "-C", str(tmp_path), "add", "kube"], check=True)
    monkeypatch.setattr(prose, "ROOT", tmp_path)
    assert prose.main([]) == 1
    assert prose.main(["--statistics"]) == 1
    assert prose.main(["--only", "docs"]) == 0


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "hack/prose.py", *arguments]
    return subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
