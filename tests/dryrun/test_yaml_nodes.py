import pytest

from dryrun.yaml_nodes import DEEPEST, MOST_VALUES, YamlError, load_all


def plain(text):
    return [document.plain() for document in load_all(text)]


def test_scalars_have_the_types_that_kubectl_gives_them():
    text = "[x, 'yes', yes, null, ~, 12, 1.5, 2020-01-01, !!str 7, 0x10, '']"
    assert plain(text) == [
        ["x", "yes", True, None, None, 12, 1.5, "2020-01-01", "7", 16, ""],
    ]


def test_every_document_of_a_text_is_read_and_empty_ones_are_none():
    assert plain("a: 1\n---\n---\n- b\n") == [{"a": 1}, None, ["b"]]


def test_nodes_and_keys_know_their_positions():
    (document,) = load_all("metadata:\n  name: x\nlist:\n- a\n-   b\n")
    metadata, entries = document.get("metadata"), document.get("list")
    assert metadata is not None
    assert entries is not None
    assert metadata.keys["name"] == (2, 3)
    assert [node.position for node in entries.value] == [(4, 3), (5, 5)]


def test_aliases_and_merge_keys_stand_for_their_values():
    text = "base: &base {a: 1, b: 2}\nother: {<<: *base, b: 3}\nagain: *base\n"
    assert plain(text)[0]["other"] == {"a": 1, "b": 3}
    assert plain(text)[0]["again"] == {"a": 1, "b": 2}


def test_a_key_that_occurs_twice_is_remembered():
    (document,) = load_all("a: 1\nb: 2\na: 3\n")
    assert document.duplicates == [("a", (3, 1))]
    assert document.plain() == {"a": 3, "b": 2}


def test_aliases_of_aliases_end_at_the_bound_and_not_in_memory():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 40)]
    with pytest.raises(YamlError, match=f"more than {MOST_VALUES} values"):
        plain("\n".join(lines))


def test_the_bound_holds_for_all_documents_of_a_text_together():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 5)]
    with pytest.raises(YamlError, match=f"more than {MOST_VALUES} values"):
        plain("\n---\n".join(["\n".join(lines)] * 100))


def test_deep_nesting_is_an_error_and_no_recursion():
    assert plain("[" * DEEPEST + "]" * DEEPEST)
    with pytest.raises(YamlError, match=f"deeper than {DEEPEST} levels"):
        plain("[" * 100_000)


def test_an_alias_is_as_deep_as_what_it_stands_for():
    half = DEEPEST // 2
    lines = ["- &a0 x"] + [f"- &a{i} {'[' * half}*a{i - 1}{']' * half}" for i in range(1, 4)]
    assert plain("\n".join(lines[:2]))
    with pytest.raises(YamlError, match=f"deeper than {DEEPEST} levels"):
        plain("\n".join(lines))
    merged = "a: &a {b: " + "[" * (DEEPEST - 2) + "]" * (DEEPEST - 2) + "}\n"
    assert plain(merged)
    with pytest.raises(YamlError, match=f"deeper than {DEEPEST} levels"):
        plain(merged + "c: {d: {<<: *a}}\n")


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a: 1\nb:\n\tc\n", 3, "cannot start any token"),
        ("a: *missing\n", 1, "alias without an anchor"),
        ("a: &a [*a]\n", 1, "alias without an anchor"),
        ("ok: 1\nx: !!int secret\n", 2, "does not match its tag"),
        ("<<: [1]\n", 1, "<< needs a map"),
        ("? [a]\n: b\n", 1, "a key that is no text"),
        ("a: [\n", 2, "did not find expected node content"),
    ],
)
def test_an_error_names_its_line_and_quotes_no_value(text, line, message):
    with pytest.raises(YamlError, match=message) as caught:
        plain(text)
    assert caught.value.position.line == line
    assert "secret" not in str(caught.value)
