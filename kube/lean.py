"""Import the credential layer of kubernetes_asyncio without its 767 models.

`configuration.py` calls it. Any import from the library imports all of its APIs, at
0.27 s of CPU and 37 MiB (docs/decisions/08-lean-import.md), so empty parent packages
stand in `sys.modules` during this import. If the library has another file layout, it is
imported as a whole.
"""

import importlib
import importlib.util
import sys
from functools import cache
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, NamedTuple

import structlog

LIBRARY = "kubernetes_asyncio"


class CredentialLayer(NamedTuple):
    """The parts of the library that the project uses.

    Attributes:
        configuration: the class `kubernetes_asyncio.client.Configuration`.
        config: the package `kubernetes_asyncio.config`.
    """

    configuration: type[Any]
    config: ModuleType


@cache
def credential_layer() -> CredentialLayer:
    """Import the credential layer and return it.

    If the program has imported the library before, that import is used.

    Raises:
        ImportError: kubernetes_asyncio is not installed.
    """
    if LIBRARY not in sys.modules:
        try:
            return _lean_import()
        except (ImportError, AttributeError) as error:
            structlog.get_logger("credentials").warning(
                "kubernetes_asyncio has an unknown layout, importing all of it", error=str(error)
            )
    configuration = importlib.import_module(f"{LIBRARY}.client").Configuration
    return CredentialLayer(configuration, importlib.import_module(f"{LIBRARY}.config"))


def _lean_import() -> CredentialLayer:
    spec = importlib.util.find_spec(LIBRARY)
    if spec is None or not spec.submodule_search_locations:
        raise ImportError(f"{LIBRARY} is not installed")
    root = spec.submodule_search_locations[0]
    try:
        _add_empty_package(LIBRARY, root)
        client = _add_empty_package(f"{LIBRARY}.client", f"{root}/client")
        configuration = importlib.import_module(f"{LIBRARY}.client.configuration").Configuration
        # `config` imports both names; ApiClient is only used by functions that this project does
        # not call.
        client.__dict__.update(Configuration=configuration, ApiClient=object)
        config = importlib.import_module(f"{LIBRARY}.config")
        return CredentialLayer(configuration, config)
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == LIBRARY]:
            del sys.modules[name]


def _add_empty_package(name: str, folder: str) -> ModuleType:
    spec = ModuleSpec(name, None, is_package=True)
    spec.submodule_search_locations = [folder]
    sys.modules[name] = package = importlib.util.module_from_spec(spec)
    return package
