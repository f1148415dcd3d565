"""Imports the credential layer of kubernetes_asyncio without its 767 models.

Importing any part of that library runs its package files, which load every API and every model: twice the processor time and 30 MiB that no
part of ours ever uses. Bare parent packages in their place let only what finds and refreshes credentials be loaded. A test holds this against
the installed version.
"""

import importlib.util
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

LIBRARY = "kubernetes_asyncio"


class _NoApiClient:
    """Stands for the class that the library's own convenience functions return; we never call those."""


def credential_layer() -> tuple[type[Any], ModuleType]:
    """The library's `Configuration` class and its `config` package.

    Where a program has loaded the whole library already, that one is used.
    """
    if LIBRARY not in sys.modules:
        _install_bare_parents()
    configuration = importlib.import_module(f"{LIBRARY}.client.configuration").Configuration
    client = sys.modules[f"{LIBRARY}.client"]
    if not hasattr(client, "Configuration"):
        client.__dict__.update(Configuration=configuration, ApiClient=_NoApiClient)
    return configuration, importlib.import_module(f"{LIBRARY}.config")


def _install_bare_parents() -> None:
    spec = importlib.util.find_spec(LIBRARY)
    if spec is None or not spec.submodule_search_locations:
        raise ImportError(f"{LIBRARY} is not installed")
    root = spec.submodule_search_locations[0]
    parent = _bare_package(LIBRARY, root)
    parent.__dict__["client"] = _bare_package(f"{LIBRARY}.client", f"{root}/client")


def _bare_package(name: str, folder: str) -> ModuleType:
    package = ModuleType(name)
    package.__path__ = [folder]
    package.__spec__ = ModuleSpec(name, None, is_package=True)
    package.__spec__.submodule_search_locations = [folder]
    sys.modules[name] = package
    return package
