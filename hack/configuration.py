"""Render docs/configuration.md from the settings of each process.

`hack/manifests.py` calls `page`. It reads the settings classes only and writes no file.
"""

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

Each setting has a flag and an environment variable. A flag takes precedence over a variable, and a
variable over the default. A list in a variable is JSON (`["a","b"]`); on the command line `a,b`
works too, and a flag may be repeated. A switch such as `--leader-elect` has a `--no-leader-elect`.
For an invalid setting the process prints one line and exits with code 2 (`plan`: 1). The
installation sets flags in `config/manager/reconciler.yaml`, `config/manager/webhook.yaml` and
`config/certs/install.yaml`.
"""
PROCESSES: dict[str, tuple[type[BaseSettings], str]] = {
    "The reconciler": (
        ReconcilerSettings,
        "`configmapsync-reconciler`, or `python -m reconciler`.",
    ),
    "The plan": (
        PlanSettings,
        "`configmapsync-reconciler plan [NAMESPACE/NAME ...]`. Without names it plans all syncs.",
    ),
    "The webhook": (WebhookSettings, "`configmapsync-webhook`, or `python -m webhook`."),
    "The certificate tool": (
        CertsSettings,
        "`configmapsync-certs ensure|revoke|inspect`, or `python -m certs`.",
    ),
}
# Positional arguments, which have no flag.
ARGUMENTS = {"command", "syncs"}
HEAD = "| flag | variable | default | meaning |\n|---|---|---|---|\n"


def page() -> str:
    """Return the page as Markdown."""
    cluster = set(ClusterSettings.model_fields)
    shared = set(ProcessSettings.model_fields)
    parts = [
        TITLE,
        "## Every process\n\nThe cluster and the credentials:\n\n"
        + _table(ClusterSettings, cluster),
        "Logs, probes, metrics and watches, for the reconciler and the webhook. The certificate "
        "tool\nuses those for logs only:\n\n" + _table(ProcessSettings, shared - cluster),
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
    variable = f"{ENVIRONMENT_PREFIX}{name.upper()}"
    return f"| {flags} | `{variable}` | {_default(field.default)} | {meaning} |\n"


def _default(value: Any) -> str:
    """Return the default in the form of a variable; empty if there is none."""
    text = as_variable(value)
    return f"`{text}`" if text else ""


def as_variable(value: Any) -> str:
    """Return the value of a setting in the form of an environment variable; empty for none."""
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
