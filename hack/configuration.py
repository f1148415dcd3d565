"""docs/configuration.md, written from the settings of each process: what can be set, how, and what it means."""

import json
from datetime import timedelta
from enum import Enum
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from certs.settings import Settings as CertsSettings
from dryrun.settings import PlanSettings
from reconciler.settings import ReconcilerSettings
from runtime.settings import ENVIRONMENT_PREFIX, ClusterSettings, ProcessSettings
from webhook.settings import Settings as WebhookSettings

TITLE = """# Configuration

What each process can be told, by a flag or by an environment variable. A flag wins over a variable, a variable over the default. Lists are
written as JSON in a variable (`["a","b"]`); on the command line `a,b` does as well, and a flag may be repeated. A switch such as `--leader-elect` has a
`--no-leader-elect`. What cannot be understood ends the process with one line and exit code 2, `plan` with 1. What the manifests set is in
`config/manager/reconciler.yaml`, `config/manager/webhook.yaml` and `config/certs/install.yaml`.
"""
PROCESSES: dict[str, tuple[type[BaseSettings], str]] = {
    "The reconciler": (
        ReconcilerSettings,
        "`configmapsync-reconciler`, or `python -m reconciler`.",
    ),
    "The plan": (
        PlanSettings,
        "`configmapsync-reconciler plan [NAMESPACE/NAME ...]`; without names it tells all syncs.",
    ),
    "The webhook": (WebhookSettings, "`configmapsync-webhook`, or `python -m webhook`."),
    "The certificate tool": (
        CertsSettings,
        "`configmapsync-certs ensure|revoke|inspect`, or `python -m certs`.",
    ),
}
ARGUMENTS = {"command", "syncs"}  # which are no flags
HEAD = "| flag | variable | default | meaning |\n|---|---|---|---|\n"


def page() -> str:
    """The whole page."""
    cluster = set(ClusterSettings.model_fields)
    shared = set(ProcessSettings.model_fields)
    parts = [
        TITLE,
        "## Every process\n\nWhich cluster, and as whom:\n\n" + _table(ClusterSettings, cluster),
        "Except for `plan`, how it logs and where it answers probes (the certificate tool answers none):\n\n"
        + _table(ProcessSettings, shared - cluster),
    ]
    for title, (settings, how) in PROCESSES.items():
        parts.append(
            f"## {title}\n\n{how}\n\n"
            + _table(settings, set(settings.model_fields) - shared - ARGUMENTS)
        )
    return "\n".join(parts)


def _table(settings: type[BaseSettings], names: set[str]) -> str:
    fields = settings.model_fields.items()
    return HEAD + "".join(_row(settings, name, field) for name, field in fields if name in names)


def _row(settings: type[BaseSettings], name: str, field: FieldInfo) -> str:
    flag = f"`--{name.replace('_', '-')}`"
    shortcut = (settings.model_config.get("cli_shortcuts") or {}).get(name)
    flags = f"`-{shortcut}`, {flag}" if shortcut else flag
    meaning = (field.description or "").replace("|", "\\|")
    return f"| {flags} | `{ENVIRONMENT_PREFIX}{name.upper()}` | {_default(field.default)} | {meaning} |\n"


def _default(value: Any) -> str:
    """As it would be written in a variable; empty where there is none."""
    text = as_variable(value)
    return f"`{text}`" if text else ""


def as_variable(value: Any) -> str:
    """A value of a setting as an environment variable holds it; empty for none."""
    match value:
        case None | "":
            return ""
        case bool():
            return str(value).lower()
        case list():
            return json.dumps(value) if value else ""
        case timedelta():
            return f"{value.days}d" if value.days else f"{value.seconds}s"
        case Enum():
            return str(value.value)
        case _:
            return str(value)
