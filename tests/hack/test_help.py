"""`--help` of every process names the kind of each value, not its Python type."""

import re

import pytest
from pydantic_settings import BaseSettings

from certs.settings import Settings as CertsSettings
from dryrun.settings import PlanSettings
from reconciler.settings import ReconcilerSettings
from runtime.settings import load
from webhook.settings import Settings as WebhookSettings

KINDS = {"PATH", "NAME", "NAMES", "COUNT", "SECONDS", "DURATION", "ADDRESS", "MEBIBYTES"}


@pytest.mark.parametrize(
    "settings", [ReconcilerSettings, PlanSettings, WebhookSettings, CertsSettings]
)
def test_help_names_the_kind_of_each_value(
    settings: type[BaseSettings],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "500")
    with pytest.raises(SystemExit):
        load(settings, "program", ["--help"])
    printed = capsys.readouterr().out
    values = re.findall(r"\[--[a-z-]+ ([^\]]+)\]", printed)
    assert len(values) >= 5
    assert [value for value in values if value not in KINDS and value[0] not in "{|"] == []
    assert not re.search(r"\(default: (null|\[\])\)", printed)
    assert "{enforce,warn,off}" in printed or settings is not WebhookSettings
