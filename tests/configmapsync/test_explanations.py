"""Check that each reason has a cause, a cure and commands."""

import shlex
from dataclasses import replace

import pytest

from configmapsync.explanations import (
    Explanation,
    Subject,
    explain_destination,
    explain_sync,
)
from configmapsync.names import NamespacedName
from configmapsync.reasons import Reason
from tests.configmapsync.objects import sync

SUBJECT = Subject(
    sync=NamespacedName("platform", "shared"),
    source=NamespacedName("central", "limits"),
    copy_name="team-limits",
    namespace="web",
)
BARE = Subject(sync=SUBJECT.sync)


def both(reason: Reason, subject: Subject = SUBJECT) -> tuple[Explanation, Explanation]:
    return explain_sync(reason, subject), explain_destination(reason, subject)


@pytest.mark.parametrize("reason", Reason)
def test_each_reason_has_a_cause_a_cure_and_a_command_for_a_sync_and_a_destination(
    reason: Reason,
) -> None:
    for explanation in both(reason):
        assert explanation.reason == reason
        assert explanation.cause.endswith(".")
        if reason is Reason.SYNCED:
            assert (explanation.cure, explanation.commands) == ("", ())
        else:
            assert explanation.cure.endswith(".")
            assert all(command.startswith("kubectl ") for command in explanation.commands)
            assert explanation.commands


def test_no_two_reasons_have_the_same_text() -> None:
    causes = [explanation.cause for reason in Reason for explanation in both(reason)]
    assert len(set(causes)) == 2 * len(Reason)
    assert len({explain_sync(reason, SUBJECT).cure for reason in Reason}) == len(Reason)


@pytest.mark.parametrize("reason", Reason)
def test_commands_name_the_objects_of_the_subject(reason: Reason) -> None:
    for explanation in both(reason):
        for command in explanation.commands:
            assert "{name}" not in command
            words = set(shlex.split(command.replace("/", " ")))
            assert words & {"shared", "limits", "central", "web", "team-limits", "doctor"}


@pytest.mark.parametrize("reason", Reason)
def test_a_command_whose_object_is_unknown_is_left_out(reason: Reason) -> None:
    for explanation in both(reason, BARE):
        assert " -n  " not in f"{explanation} "
        assert all("''" not in command for command in explanation.commands)
        assert bool(explanation.commands) == (reason is not Reason.SYNCED)


def test_a_name_cannot_add_a_command() -> None:
    hostile = replace(SUBJECT, namespace="web; rm -rf ~")
    for reason in Reason:
        for command in explain_destination(reason, hostile).commands:
            assert "web; rm" not in command.replace("'web; rm -rf ~'", "")


def test_a_service_account_is_named_with_the_namespace_of_the_sync() -> None:
    subject = Subject.of(sync(serviceAccountName="robot"))
    explanation = explain_sync(Reason.NOT_AUTHORIZED, subject)
    assert "system:serviceaccount:home:robot" in explanation.cause
    assert all(
        command.endswith("--as=system:serviceaccount:home:robot")
        for command in explanation.commands
    )


def test_an_unknown_word_and_no_word_are_explained_as_well() -> None:
    unknown = explain_sync("WordOfTomorrow", SUBJECT)
    assert "WordOfTomorrow" in unknown.cause
    assert "not reported" in explain_sync("", SUBJECT).cause
    assert explain_destination("Synced", SUBJECT) == explain_destination(Reason.SYNCED, SUBJECT)
