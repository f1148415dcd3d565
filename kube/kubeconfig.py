"""Reads kubeconfig files as `kubectl` does.

The reading is kubernetes_asyncio's. Around it stand the things it leaves open: errors in one line for people, and tokens that are loaded again in
a way that fits each kind of user. `credentials.py` decides whether a kubeconfig is used at all.
"""

import asyncio
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml

from kube.lean import credential_layer
from kube.target import ConfigurationError, Target
from kube.token import LOADED_WITHIN, Load

Document = dict[str, Any]


async def from_kubeconfig(files: str, context: str | None) -> Target:
    """Find the API server in one or more kubeconfig files.

    Args:
        files: paths as in $KUBECONFIG; of several, those that are missing do not count.
        context: which of the contexts; the current one by default.

    Raises:
        ConfigurationError: there is nothing usable.
    """
    chosen = _chosen_context(files, [_read(path) for path in _existing(files)], context)
    configuration_class, config = credential_layer()
    configuration = configuration_class()
    try:
        async with asyncio.timeout(LOADED_WITHIN):
            loader = await config.load_kube_config(
                config_file=files,
                context=chosen,
                client_configuration=configuration,
                persist_config=False,
            )
    except TimeoutError as error:
        raise ConfigurationError(
            f"kubeconfig {files}: the plugin gave no token within {LOADED_WITHIN:.0f} s"
        ) from error
    except Exception as error:  # the library and the plugins it runs raise whatever comes
        raise ConfigurationError(f"kubeconfig {files}: {_in_one_line(error)}") from error
    return Target.of(configuration, _loading(loader))


def _existing(files: str) -> list[Path]:
    paths = [Path(path).expanduser() for path in files.split(os.pathsep) if path]
    existing = [path for path in paths if path.exists()]
    if not existing:
        raise ConfigurationError(f"kubeconfig {files}: there is no such file")
    return existing


def _read(path: Path) -> Document:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"kubeconfig {path} cannot be read: {_in_one_line(error)}"
        ) from error
    except yaml.YAMLError as error:
        raise ConfigurationError(f"kubeconfig {path} is not YAML: {_place(error)}") from error
    if not isinstance(document, dict):
        raise ConfigurationError(f"kubeconfig {path} is not a kubeconfig: it is no mapping")
    return document


def _chosen_context(files: str, documents: Sequence[Document], context: str | None) -> str:
    """The context to use, whose cluster and user are there: where not, the library says nothing that a person could act on.

    Of several files the first that sets a current context counts, as for `kubectl`.
    """
    chosen = context or next(
        (each["current-context"] for each in documents if each.get("current-context")), None
    )
    if chosen is None:
        raise ConfigurationError(
            f"kubeconfig {files}: no current-context is set; name one with --context"
        )
    entry = _entry(files, documents, "context", chosen)
    server = str(_entry(files, documents, "cluster", str(entry.get("cluster"))).get("server"))
    if not server.startswith(("https://", "http://")):
        raise ConfigurationError(
            f"kubeconfig {files}: the server of cluster {entry['cluster']!r} is no http(s) address"
        )
    if "user" in entry:
        _entry(files, documents, "user", str(entry["user"]))
    elif server.startswith(
        "https://"
    ):  # of an API server that speaks TLS, nobody in particular may ask anything
        raise ConfigurationError(f"kubeconfig {files}: context {chosen!r} names no user")
    return str(chosen)


def _entry(files: str, documents: Iterable[Document], kind: str, name: str) -> Document:
    """What the first file that has it says of the `kind` called `name`."""
    for document in documents:
        for entry in document.get(f"{kind}s") or ():
            if (
                isinstance(entry, dict)
                and entry.get("name") == name
                and isinstance(entry.get(kind), dict)
            ):
                return Document(entry[kind])
    raise ConfigurationError(f"kubeconfig {files}: there is no {kind} {name!r}")


def _loading(loader: Any) -> Load:
    """How the token of the kubeconfig's user is had again: from its file, its plugin or its provider."""

    async def load(refused: bool) -> str | None:
        if refused:
            loader.__dict__.pop(
                "exec_plugin_expiry", None
            )  # or the library would keep what the server has just refused
        elif _has_plugin(loader) and "exec_plugin_expiry" not in loader.__dict__:
            return None  # a plugin that names no expiry is asked again only after a refusal
        await loader._load_authentication()  # noqa: SLF001 - the library has no public way that covers every kind of user
        header: str | None = getattr(loader, "token", None)
        return header

    return load


def _has_plugin(loader: Any) -> bool:
    return loader._user is not None and "exec" in loader._user  # noqa: SLF001 - as above


def _place(error: yaml.YAMLError) -> str:
    """Where it goes wrong, without the text around it: that may be a token."""
    mark = getattr(error, "problem_mark", None)
    return f"line {mark.line + 1}, column {mark.column + 1}" if mark else type(error).__name__


def _in_one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
