import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configmapsync.admission_checks import AdmissionInput, Snapshot, check, steps_to_ask, warnings
from configmapsync.defaulting import with_defaults
from configmapsync.destination_paths import destination_paths
from configmapsync.names import FINALIZER, NamespacedName
from configmapsync.parsing import parse as parse_sync
from configmapsync.resource import ConfigMapSync
from configmapsync.selection import Namespace, Selector
from tests.webhook import recorded
from webhook.admission import exempt, mutation
from webhook.admission_review import Review, parse

PROTECTED = frozenset({"kube-system"})


def namespaces(*names: str, **labelled: dict[str, str]) -> dict[str, Namespace]:
    plain = {name: Namespace(name) for name in names}
    return plain | {name: Namespace(name, labels) for name, labels in labelled.items()}


def sync(namespace: str = "a", **spec: object) -> ConfigMapSync:
    document = {
        "metadata": {"namespace": namespace, "name": "s"},
        "spec": {"configMapName": "cfg", **spec},
    }
    return with_defaults(parse_sync(document))


def sync_input(new: ConfigMapSync, previous: ConfigMapSync | None = None) -> AdmissionInput:
    selector = Selector.of(new, PROTECTED)
    return AdmissionInput(new, selector, destination_paths(new, selector), previous)


def view(known: dict[str, Namespace], **facts: Any) -> Snapshot:
    return Snapshot(known, **facts)


def messages(errors: Iterable[object]) -> list[str]:
    return [str(error) for error in errors]


def review_of(name: str, **request: object) -> Review:
    document = recorded.document(name)
    document["request"] |= request
    return parse(json.dumps(document).encode())


# --- exempt reviews


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("update-metadata-only.json", "the spec is unchanged"),
        ("update-status.json", "another operation"),
        ("delete.json", "another operation"),
        ("delete-with-finalizer.json", "another operation"),
        ("update-remove-finalizer-while-deleting.json", "being deleted"),
        ("create.json", None),
        ("create-dry-run.json", None),
        ("create-generate-name.json", None),
        ("update-spec.json", None),
        ("apply-client-side-update.json", None),
        ("apply-server-side-create.json", None),
    ],
)
def test_a_review_that_changes_no_spec_is_exempt(name: str, reason: str | None):
    assert exempt(review_of(name)) == reason


def test_a_bad_spec_never_blocks_the_deletion_of_its_object():
    document = recorded.document("update-remove-finalizer-while-deleting.json")["request"]["object"]
    document["spec"] = {"configMapName": "!"}
    assert (
        exempt(review_of("update-remove-finalizer-while-deleting.json", object=document))
        == "being deleted"
    )


def test_other_resources_are_allowed():
    pods = {"group": "", "version": "v1", "resource": "pods"}
    assert exempt(review_of("create.json", resource=pods)) == "another resource"


# --- defaults


def _patched(review: Review) -> dict[str, Any]:
    assert review.new is not None
    spec = dict(review.new.document()["spec"])
    for operation in mutation(review):
        if operation["path"].startswith("/metadata/"):
            continue
        key = operation["path"].removeprefix("/spec/")
        if operation["op"] == "remove":
            del spec[key]
            continue
        assert operation["op"] == ("replace" if key in spec else "add")
        spec[key] = operation["value"]
    return spec


def _finalizers(review: Review) -> list[str]:
    """Return the finalizers of the object after the mutation."""
    assert review.new is not None
    present = review.new.metadata.finalizers
    for operation in mutation(review):
        if operation["path"] == "/metadata/finalizers":
            assert (operation["op"], present) == ("add", None)
            present = operation["value"]
        elif operation["path"] == "/metadata/finalizers/-":
            assert operation["op"] == "add"
            present = [*(present or ()), operation["value"]]
    return list(present or ())


def _creating(spec: object, finalizers: list[str] | None = None) -> Review:
    document = recorded.document("create.json")["request"]["object"]
    held = {} if finalizers is None else {"finalizers": finalizers}
    metadata = {**document["metadata"], **held}
    return review_of("create.json", object={**document, "metadata": metadata, "spec": spec})


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        (None, [FINALIZER]),
        ([], [FINALIZER]),
        (["example.com/held"], ["example.com/held", FINALIZER]),
        ([FINALIZER, "example.com/held"], [FINALIZER, "example.com/held"]),
    ],
    ids=str,
)
def test_a_new_sync_gets_the_finalizer_beside_those_of_others(
    sent: list[str] | None, stored: list[str]
):
    assert _finalizers(_creating({"configMapName": "cfg"}, sent)) == stored


def test_an_update_gets_no_finalizer():
    update = review_of("update-spec.json")
    assert all(not operation["path"].startswith("/metadata") for operation in mutation(update))


def test_only_static_defaults_of_unset_fields_are_stored():
    said = {
        "configMapName": "cfg",
        "destinationNamespaces": ["b", "a", "b"],
        "keys": [{"key": "x"}, {"key": "x"}],
    }

    assert _patched(_creating(said | {"sourceNamespace": ""})) == {
        **said,
        "conflictPolicy": "Fail",
        "deletionPolicy": "Delete",
        "sourceDeletionPolicy": "Retain",
    }


@pytest.mark.parametrize(
    "spec", [None, [], "x", {}, {"configMapName": 7, "destinationNamespaces": 1}], ids=str
)
def test_the_schema_rejects_a_spec_that_cannot_be_read(spec: object):
    mutation(_creating(spec))


@settings(deadline=None, max_examples=100)
@given(
    spec=st.fixed_dictionaries(
        {"configMapName": st.sampled_from(["a", "b"])},
        optional={
            "sourceNamespace": st.sampled_from([None, "", "x"]),
            "destinationConfigMapName": st.sampled_from([None, "y"]),
            "destinationNamespaces": st.lists(st.sampled_from(["n", "m", "k*"]), max_size=4),
            "excludedNamespaces": st.lists(st.sampled_from(["n", "m"]), max_size=4),
            "conflictPolicy": st.sampled_from([None, "Adopt"]),
            "keys": st.lists(st.just({"key": "k"}), max_size=2),
        },
    )
)
def test_a_second_pass_changes_nothing(spec: dict[str, Any]):
    first = _creating(spec)
    assert mutation(_creating(_patched(first), _finalizers(first))) == []


# --- existence


def test_all_missing_namespaces_are_reported_together():
    new = sync(
        sourceNamespace="nope",
        destinationNamespace="gone",
        destinationNamespaces=["b", "lost", "team-*"],
    )
    assert messages(check(sync_input(new), view(namespaces("b")))) == [
        'spec.sourceNamespace: Not found: "nope"',
        'spec.destinationNamespace: Not found: "gone"',
        'spec.destinationNamespaces[1]: Not found: "lost"',
    ]


def test_a_terminating_namespace_is_an_error():
    known = namespaces("a") | {"b": Namespace("b", terminating=True)}
    assert messages(check(sync_input(sync(destinationNamespace="b")), view(known))) == [
        'spec.destinationNamespace: Forbidden: the namespace "b" is being terminated'
    ]


def test_an_excluded_name_need_not_exist():
    new = sync(destinationNamespaces=["b", "lost"], excludedNamespaces=["lo*"])
    assert check(sync_input(new), view(namespaces("a", "b"))) == []


def test_an_edit_may_keep_a_namespace_that_no_longer_exists():
    previous = sync(destinationNamespaces=["b", "gone"])
    new = sync(destinationNamespaces=["b", "gone", "lost"], suspend=True)
    assert messages(check(sync_input(new, previous), view(namespaces("a", "b")))) == [
        'spec.destinationNamespaces[2]: Not found: "lost"'
    ]


# --- self-syncs, loops, contests


def test_a_destination_that_is_the_source_is_refused():
    new = sync(destinationNamespaces=["a", "b"])
    assert messages(check(sync_input(new), view(namespaces("a", "b")))) == [
        'spec.destinationNamespaces[0]: Invalid value: "a": a/cfg is the source itself'
    ]


def test_another_name_in_the_same_namespace_is_fine():
    new = sync(destinationNamespace="a", destinationConfigMapName="other")
    assert check(sync_input(new), view(namespaces("a"))) == []


CYCLE = (NamespacedName("a", "cfg"), NamespacedName("b", "cfg"), NamespacedName("a", "cfg"))


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"destinationNamespace": "b"}, "spec.destinationNamespace"),
        ({"destinationNamespaces": ["b"]}, "spec.destinationNamespaces[0]"),
        ({"destinationNamespaces": ["x-*", "b*"]}, "spec.destinationNamespaces[1]"),
        ({"destinationNamespaceSelector": {}}, "spec.destinationNamespaceSelector"),
    ],
    ids=str,
)
def test_a_loop_is_spelled_out_at_the_field_that_closes_it(spec: dict[str, Any], path: str):
    assert messages(check(sync_input(sync(**spec)), view(namespaces("a", "b"), cycle=CYCLE))) == [
        f'{path}: Invalid value: "b": would close a loop: a/cfg -> b/cfg -> a/cfg'
    ]


def test_a_contest_names_the_other_sync_only_if_the_user_may_get_it():
    new, other = sync(destinationNamespace="b"), NamespacedName("x", "other")
    contest = {"contested": ((NamespacedName("b", "cfg"), other),)}
    assert messages(
        check(sync_input(new), view(namespaces("a", "b"), **contest, visible=frozenset({other})))
    ) == [
        (
            'spec.destinationNamespace: Duplicate value: "b/cfg": is already written by '
            "ConfigMapSync x/other"
        )
    ]
    assert messages(check(sync_input(new), view(namespaces("a", "b"), **contest))) == [
        (
            'spec.destinationNamespace: Duplicate value: "b/cfg": is already written by another '
            "ConfigMapSync"
        )
    ]


def test_a_loop_shows_the_steps_that_the_user_may_read_and_counts_the_others():
    places = [NamespacedName(name, "cfg") for name in ("a", "b", "c", "d", "e", "a")]
    new = sync_input(sync(destinationNamespace="b"))

    def loop(*readable: NamespacedName) -> str:
        facts = {"cycle": tuple(places), "readable": frozenset(readable)}
        return messages(check(new, view(namespaces("a", "b"), **facts)))[0].partition("loop: ")[2]

    assert loop() == "a/cfg -> b/cfg -> (3 ConfigMaps of other syncs) -> a/cfg"
    assert loop(places[2]) == "a/cfg -> b/cfg -> c/cfg -> (2 ConfigMaps of other syncs) -> a/cfg"
    assert loop(places[3]) == (
        "a/cfg -> b/cfg -> (a ConfigMap of another sync) -> d/cfg -> (a ConfigMap of another "
        "sync) -> a/cfg"
    )


def test_a_loop_of_thousands_of_steps_asks_for_eight_rights_and_gives_a_short_message():
    cycle = tuple(
        NamespacedName(name, "cfg")
        for name in ("a", "b", *(f"n{step}" for step in range(5_000)), "a")
    )
    asked = steps_to_ask(cycle)
    assert len(asked) == 8
    facts = {"cycle": cycle, "readable": frozenset(asked)}
    (message,) = messages(
        check(sync_input(sync(destinationNamespace="b")), view(namespaces("a", "b"), **facts))
    )
    assert message.endswith("n7/cfg -> (4992 ConfigMaps of other syncs) -> a/cfg")


def test_a_contest_matched_by_a_glob_or_selector_is_a_warning():
    contested = tuple(
        (NamespacedName(f"team-{number}", "cfg"), NamespacedName("x", "o")) for number in range(20)
    )
    known = view(namespaces("a", *(f"team-{number}" for number in range(20))), contested=contested)
    for spec in ({"destinationNamespaces": ["team-*"]}, {"destinationNamespaceSelector": {}}):
        everywhere = sync_input(sync(**spec))
        assert check(everywhere, known) == []
        warned = [
            warning for warning in warnings(everywhere, known) if "already written" in warning
        ]
        assert len(warned) == 9
        assert (
            warned[-1]
            == "at least 12 more destinations are already written by other ConfigMapSyncs"
        )
    named = sync_input(sync(destinationNamespaces=["team-*", "team-3"]))
    assert messages(check(named, known)) == [
        (
            'spec.destinationNamespaces[1]: Duplicate value: "team-3/cfg": is already written by '
            "another ConfigMapSync"
        )
    ]


def test_an_edit_without_a_new_edge_is_allowed_despite_a_contest():
    contest = view(
        namespaces("a", "b"),
        cycle=CYCLE,
        contested=((NamespacedName("b", "cfg"), NamespacedName("x", "o")),),
    )
    previous, suspended = (
        sync(destinationNamespace="b"),
        sync(destinationNamespace="b", suspend=True),
    )
    assert check(sync_input(suspended, previous), contest) == []
    wider = sync(destinationNamespaces=["b*"], destinationNamespace="b")
    assert len(check(sync_input(wider, previous), contest)) == 2


def test_all_errors_are_reported_together():
    new = sync(destinationNamespaces=["a", "b", "lost"])
    facts = {"cycle": CYCLE, "contested": ((NamespacedName("b", "cfg"), NamespacedName("x", "o")),)}
    assert len(check(sync_input(new), view(namespaces("a", "b"), **facts))) == 4


# --- warnings


def test_a_correct_sync_has_no_warnings():
    new = sync(
        destinationNamespaces=["b", "team-*"],
        destinationNamespaceSelector={"matchLabels": {"x": "y"}},
    )
    known = namespaces("a", "b", "team-1") | {"c": Namespace("c", {"x": "y"})}
    assert warnings(sync_input(new), view(known)) == []


@pytest.mark.parametrize(
    ("spec", "facts", "warning"),
    [
        ({"suspend": True}, {}, "spec.suspend: no ConfigMap is copied while the sync is suspended"),
        (
            {},
            {"source_missing": True},
            (
                "spec.configMapName: ConfigMap a/cfg does not exist yet; the copies are created "
                "when it exists"
            ),
        ),
        (
            {},
            {"blockers": (NamespacedName("b", "cfg"),)},
            (
                "ConfigMap b/cfg exists and no sync manages it, so it is not overwritten "
                "(conflictPolicy: Fail)"
            ),
        ),
        (
            {"keys": [{"key": "a"}, {"key": "*.yml"}]},
            {"source_keys": frozenset({"a"})},
            'spec.keys[1] "*.yml" matches no key of the source',
        ),
        (
            {"copyMetadata": {"labels": ["*", "argocd.argoproj.io/instance"]}},
            {},
            (
                'spec.copyMetadata.labels[1]: "argocd.argoproj.io/instance" is in a reserved '
                "domain; another tool may prune or change "
                "the copies because of it"
            ),
        ),
        (
            {"destinationNamespaces": ["x-*", "b*"]},
            {},
            'spec.destinationNamespaces[0]: "x-*" matches no namespace now',
        ),
        (
            {"destinationNamespaceSelector": {"matchLabels": {"x": "y"}}},
            {},
            "spec.destinationNamespaceSelector: the selector matches no namespace now",
        ),
        (
            {"destinationNamespace": "off"},
            {},
            (
                'spec.destinationNamespace: namespace "off" has the label apps.nishaf.info/sync: '
                "disabled and receives no copies"
            ),
        ),
    ],
    ids=str,
)
def test_a_possible_mistake_is_a_warning(spec: dict[str, Any], facts: dict[str, Any], warning: str):
    known = namespaces("a", "b", "kube-system", off={"apps.nishaf.info/sync": "disabled"})
    new = sync(**({"destinationNamespace": "b"} | spec))
    assert warnings(sync_input(new), view(known, **facts)) == [warning]
    assert check(sync_input(new), view(known, **facts)) == []


def test_adopting_a_blocker_is_not_a_warning():
    new = sync(destinationNamespace="b", conflictPolicy="Adopt")
    assert (
        warnings(
            sync_input(new), view(namespaces("a", "b"), blockers=(NamespacedName("b", "cfg"),))
        )
        == []
    )


def test_a_glob_that_reaches_only_protected_namespaces_reaches_nothing():
    new = sync(destinationNamespaces=["kube-*"])
    assert warnings(sync_input(new), view(namespaces("a", "kube-system"))) == [
        'spec.destinationNamespaces[0]: "kube-*" matches no namespace now'
    ]
