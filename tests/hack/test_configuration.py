"""Check that every flag, variable and default of the configuration page works."""

import re
from pathlib import Path

import pytest
from pydantic import AfterValidator
from pydantic_settings import BaseSettings

from certs.settings import Settings as CertsSettings
from dryrun.settings import PlanSettings
from reconciler.settings import ReconcilerSettings
from runtime.settings import load
from webhook.settings import Settings as WebhookSettings

PAGE = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text(encoding="utf-8")
SECTIONS = {section.partition("\n")[0]: section for section in PAGE.split("\n## ")}
ROW = re.compile(r"^\| (?:`-\w`, )?`--([\w-]+)` \| `(\w+)` \| (?:`(.*?)`)? \|", re.MULTILINE)
PROCESSES: list[tuple[str, type[BaseSettings], list[str]]] = [
    ("The reconciler", ReconcilerSettings, []),
    ("The plan", PlanSettings, []),
    ("The webhook", WebhookSettings, []),
    ("The certificate tool", CertsSettings, ["inspect"]),
]


@pytest.mark.parametrize(("title", "settings", "arguments"), PROCESSES)
def test_every_default_can_be_set_by_flag_and_by_variable(
    monkeypatch: pytest.MonkeyPatch, title: str, settings: type[BaseSettings], arguments: list[str]
) -> None:
    rows = ROW.findall(SECTIONS[title])
    untouched = load(settings, "test", arguments)
    defaults = [(flag, variable, default) for flag, variable, default in rows if default]
    assert len(rows) >= 5

    flags = [
        f"--{'no-' if default == 'false' else ''}{flag}"
        + ("" if default in ("false", "true") else f"={default}")
        for flag, _, default in defaults
    ]
    assert load(settings, "test", [*arguments, *flags]) == untouched
    for _, variable, default in defaults:
        monkeypatch.setenv(variable, default)
    assert load(settings, "test", arguments) == untouched


@pytest.mark.parametrize(("title", "settings", "arguments"), PROCESSES)
def test_every_variable_is_read(
    monkeypatch: pytest.MonkeyPatch, title: str, settings: type[BaseSettings], arguments: list[str]
) -> None:
    """A value that is neither JSON nor a number is refused by each setting that is not a text."""
    texts = {
        name
        for name, field in settings.model_fields.items()
        if field.annotation in {str, str | None, Path, Path | None}
        and not any(isinstance(each, AfterValidator) for each in field.metadata)
    }
    for flag, variable, _ in ROW.findall(SECTIONS[title]):
        monkeypatch.setenv(variable, "x{")
        name = flag.replace("-", "_")
        if name in texts:
            assert str(getattr(load(settings, "test", arguments), name)) == "x{"
        else:
            with pytest.raises(SystemExit):
                load(settings, "test", arguments)
        monkeypatch.delenv(variable)


ABSURD = ("1e308", "inf", "-inf", "nan", "-1", "9" * 400, "9" * 5000, "")
NUMBERS = [
    pytest.param(settings, arguments, name, id=f"{settings.__module__} {name}")
    for _, settings, arguments in PROCESSES
    for name, field in settings.model_fields.items()
    if field.annotation in (int, float)
]


@pytest.mark.parametrize(("settings", "arguments", "name"), NUMBERS)
def test_a_number_that_no_timer_accepts_is_refused(
    settings: type[BaseSettings], arguments: list[str], name: str
) -> None:
    """An event loop raises OverflowError for 1e308, and a timer of infinity never fires."""
    for number in ABSURD:
        with pytest.raises(SystemExit) as ended:
            load(settings, "test", [*arguments, f"--{name.replace('_', '-')}={number}"])
        assert ended.value.code == 2, number
