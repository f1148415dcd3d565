"""The command `check` finds what the API server would reject, with file and line."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from plugin.cli import cli
from tests.support.cpu import cpu_seconds

ROOT = Path(__file__).parents[3]
SYNC = """\
apiVersion: apps.nishaf.info/v1
kind: ConfigMapSync
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{configMapName: config, {spec}}}
"""


def sync(spec: str, name: str = "s", namespace: str = "home") -> str:
    return SYNC.format(spec=spec, name=name, namespace=namespace)


def check(*arguments: str, given: str | None = None) -> Result:
    """Run the command; without arguments it reads `given`."""
    return CliRunner().invoke(cli, ["check", *(arguments or ("-",))], input=given)


def findings(text: str) -> list[str]:
    """Return the findings of a text, as `line: severity: rest`."""
    result = check(given=text)
    assert result.exception is None or isinstance(result.exception, SystemExit), result
    return [
        re.sub(r"^standard input:(\d+):\d+: ", r"\1: ", line) for line in result.stdout.splitlines()
    ]


def test_a_good_file_has_no_findings_and_ends_with_zero() -> None:
    result = check(given=sync("destinationNamespace: web"))
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "0 errors and 0 warnings in 1 sync of 1 file\n"


def test_the_samples_of_the_project_are_good_and_the_readme_shows_it() -> None:
    result = check("-f", str(ROOT / "config" / "samples"))
    assert (result.exit_code, result.stdout) == (0, "")
    shown = f"$ kubectl configmapsync check -f config/samples\n{result.stderr}"
    assert shown in (ROOT / "README.md").read_text()


def test_the_page_of_the_plugin_shows_what_check_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    page = (ROOT / "docs" / "plugin.md").read_text()
    [shown] = re.findall(r"\$ kubectl configmapsync check (.*)\n((?:.+\n)+?)```", page)
    result = check(*shown[0].split())
    assert result.stdout + result.stderr == shown[1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            sync("destinationNamepsaces: [web]"),
            (
                "4: error: ConfigMapSync home/s: spec.destinationNamepsaces: Forbidden: "
                'unknown field; did you mean "destinationNamespaces"?'
            ),
        ),
        (
            sync("destinationNamespace: web, conflictPolicy: adopt"),
            "4: error: ConfigMapSync home/s: spec.conflictPolicy: Unsupported value",
        ),
        (
            sync("suspend: true"),
            "4: error: ConfigMapSync home/s: spec.destinationNamespace: Required",
        ),
        (
            sync("destinationNamespaces: [web, Web]"),
            "4: error: ConfigMapSync home/s: spec.destinationNamespaces[1]: Invalid value",
        ),
        (
            sync("destinationNamespace: home"),
            "4: error: ConfigMapSync home/s: spec.destinationNamespace: Invalid value",
        ),
        (
            sync("destinationNamespace: web, keys: [{key: '*', as: x}]"),
            "4: error: ConfigMapSync home/s: spec.keys[0].as: Forbidden",
        ),
        (
            sync("destinationNamespaceSelector: {matchLabels: {a: b c}}"),
            (
                "4: error: ConfigMapSync home/s: "
                "spec.destinationNamespaceSelector.matchLabels[a]: Invalid value"
            ),
        ),
        (
            sync("destinationNamespace: web", name="Bad"),
            "3: error: ConfigMapSync home/Bad: metadata.name: Invalid value",
        ),
        (
            sync("destinationNamespace: web", namespace="7"),
            "3: error: ConfigMapSync default/s: metadata.namespace: Invalid value: 7: must be of",
        ),
        (
            sync("destinationNamespace: web").replace("/v1", "/v2"),
            "1: error: ConfigMapSync home/s: apiVersion: Unsupported value",
        ),
        (
            sync("destinationNamespace: web").replace("kind: ConfigMapSync", "kind: ConfigMapSink"),
            "2: error: ConfigMapSink home/s: kind: Unsupported value",
        ),
        (
            sync("destinationNamespace: web").replace("name:", "lables: {a: b}, name:"),
            (
                "3: error: ConfigMapSync home/s: metadata.lables: Forbidden: unknown field; "
                'did you mean "labels"?'
            ),
        ),
        (
            sync("destinationNamespace: web").replace("name:", "labels: {a: 1}, name:"),
            (
                "3: error: ConfigMapSync home/s: metadata.labels[a]: Invalid value: 1: "
                "must be of type string; put quotes"
            ),
        ),
        (
            sync("destinationNamespace: web, destinationNamespace: shop"),
            '4: error: ConfigMapSync home/s: the key "destinationNamespace" occurs more than once',
        ),
        (
            sync("destinationNamespace: web") + "---\n" + sync("destinationNamespace: shop"),
            "8: error: ConfigMapSync home/s: is defined twice; the first time at standard input:1",
        ),
        (
            sync("destinationNamespace: web")
            + "---\n"
            + sync("sourceNamespace: other, destinationNamespaces: [web]", name="t"),
            (
                "9: error: ConfigMapSync home/t: spec.destinationNamespaces[0]: Duplicate value: "
                '"web/config": is already written by ConfigMapSync home/s'
            ),
        ),
        (
            sync("destinationNamespace: web")
            + "---\n"
            + sync("destinationNamespace: home", namespace="web"),
            (
                "9: error: ConfigMapSync web/s: spec.destinationNamespace: Invalid value: "
                '"home": would close a loop: web/config -> home/config -> web/config'
            ),
        ),
        (sync("destinationNamespace: web") + "  oops: [\n", "5: error: invalid YAML"),
        (
            sync("destinationNamespace: web, suspend: true"),
            "4: warning: ConfigMapSync home/s: spec.suspend: no ConfigMap is copied",
        ),
    ],
)
def test_each_kind_of_problem_is_found_on_its_line(text: str, expected: str) -> None:
    [found] = findings(text)
    assert found.startswith(expected)
    assert check(given=text).exit_code == (0 if " warning: " in found else 1)
    assert check("-", "--strict", given=text).exit_code == 1


CONFIGMAP = (
    "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s, namespace: %s}\ndata: {a: b}\n"
)
NAMESPACE = "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: %s}\n"


@pytest.mark.parametrize(
    ("others", "spec", "expected"),
    [
        (CONFIGMAP % ("confg", "home"), "destinationNamespace: web", "does not exist yet"),
        (CONFIGMAP % ("config", "web"), "destinationNamespace: web", "no sync manages it"),
        (
            CONFIGMAP % ("config", "home"),
            "destinationNamespace: web, keys: [{key: c}]",
            "spec.keys[0]",
        ),
        (
            NAMESPACE % "web-shop",
            "destinationNamespaces: [web-shpo]",
            (
                'spec.destinationNamespaces[0]: the files do not define the namespace "web-shpo"; '
                'did you mean "web-shop"?'
            ),
        ),
    ],
)
def test_the_other_objects_of_the_files_explain_warnings(
    others: str, spec: str, expected: str
) -> None:
    assert any(": warning: " in line and expected in line for line in findings(sync(spec) + others))


def test_a_chain_of_syncs_needs_no_source_in_the_files() -> None:
    text = (
        sync("destinationNamespace: web")
        + "---\n"
        + sync("destinationNamespace: shop", namespace="web")
        + CONFIGMAP % ("config", "home")
        + CONFIGMAP % ("other", "web")
    )
    assert findings(text) == []


def test_null_fields_and_empty_derived_fields_are_unset_as_in_the_api_server() -> None:
    assert findings(sync('destinationNamespace: web, sourceNamespace: "", keys: null')) == []


def test_lists_folders_and_several_files_are_read(tmp_path: Path) -> None:
    item = json.dumps({"apiVersion": "apps.nishaf.info/v1", "kind": "ConfigMapSync"})
    (tmp_path / "list.json").write_text(f'{{"kind": "List", "items": [{item}, {item}]}}')
    (tmp_path / "one.yaml").write_text(sync("destinationNamespace: web"))
    (tmp_path / "other.yml").write_text("kind: Deployment\nspec: [1]\n---\njust: text\n")
    (tmp_path / "ignored.txt").write_text(": [")
    result = check(str(tmp_path), "-o", "json")
    found = json.loads(result.stdout)
    assert {each["field"] for each in found} >= {"metadata", "spec.configMapName"}
    assert {each["file"] for each in found} == {str(tmp_path / "list.json")}
    assert "3 syncs of 3 files" in result.stderr


def test_a_template_that_is_no_yaml_is_only_a_warning() -> None:
    [found] = findings("{{- if .Values.x }}\nkind: Deployment\n{{- end }}\n")
    assert found.startswith("1: warning: invalid YAML")


@pytest.mark.parametrize("arguments", [["no-such-file.yaml"], [], ["--no-such-flag"]])
def test_what_cannot_run_ends_with_two(arguments: list[str]) -> None:
    assert CliRunner().invoke(cli, ["check", *arguments]).exit_code == 2


def test_no_finding_quotes_a_value_of_a_configmap() -> None:
    text = CONFIGMAP % ("config", "web") + sync("destinationNamespace: web")
    secret = text.replace("a: b", "a: [secret-value]") + "---\nx: !!int secret-value\n"
    result = check(given=secret)
    assert result.exit_code == 1
    assert "secret-value" not in result.output


def test_the_syncs_of_a_hostile_file_are_checked_in_bounded_time() -> None:
    """Every sync has the longest lists, and all claim the same destinations."""
    names = ", ".join(f"n-{number}" for number in range(500))
    text = "---\n".join(
        sync(f"destinationNamespaces: [{names}]", name=f"s-{number}") for number in range(100)
    )
    found: list[object] = []
    assert cpu_seconds(lambda: found.extend(findings(text))) < 30
    assert len(found) >= 99
