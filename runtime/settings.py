"""Build the settings of a process from flags and environment variables.

`lifecycle.py` calls `load` once for each process, and `dryrun/command.py` for the
`plan` command. A flag wins over a variable, and a variable over the default. The field
descriptions are the text of `--help`.
"""

import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self, TypeVar

from pydantic import AfterValidator, Field, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    CliApp,
    CliSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

ENVIRONMENT_PREFIX = "CONFIGMAPSYNC_"
EXIT_USAGE = 2

# The upper bound of every duration, a month: an event loop cannot wait for infinity or 1e308
# seconds.
LONGEST_SECONDS = 30 * 86400

LogFormat = Literal["json", "console"]
LogLevel = Literal["debug", "info", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Metavar:
    """The word for a value in `--help`; without this annotation the type decides."""

    word: str


# By the name that pydantic-settings gives to the type of a field.
METAVARS = {
    "Path": "PATH",
    "str": "NAME",
    "list[str]": "NAMES",
    "int": "COUNT",
    "float": "SECONDS",
    "timedelta": "DURATION",
}


class Address(NamedTuple):
    """Where a server listens.

    Attributes:
        host: empty for every interface.
        port: 0 lets the system choose one.
    """

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse `HOST:PORT`, `:PORT` (every interface, by IPv6 and IPv4) or `[IPv6]:PORT`.

        Raises:
            ValueError: the text has another form.
        """
        host, colon, port = text.rpartition(":")
        if not colon or not port.isdecimal() or int(port) > 65535:
            raise ValueError(f"{text!r} is not HOST:PORT")
        return cls(host.removeprefix("[").removesuffix("]"), int(port))


def _check_address(text: str) -> str:
    Address.parse(text)
    return text


AddressText = Annotated[str, AfterValidator(_check_address), Metavar("ADDRESS")]


class ClusterSettings(BaseSettings):
    """The cluster, and the credentials for it."""

    model_config = SettingsConfigDict(
        env_prefix=ENVIRONMENT_PREFIX,
        cli_kebab_case=True,
        cli_implicit_flags=True,
        cli_hide_none_type=True,
        frozen=True,
    )

    kubeconfig: Path | None = Field(
        default=None,
        description=(
            "kubeconfig file; default: $KUBECONFIG, else the pod's service account, "
            "else ~/.kube/config"
        ),
    )
    context: str | None = Field(
        default=None, description="context of the kubeconfig; default: its current one"
    )
    relaxed_tls: bool = Field(
        default=False,
        description=(
            "accept a cluster CA without key identifiers, "
            "which Python 3.13 and later refuse by default"
        ),
    )


class ProcessSettings(ClusterSettings):
    """The settings of every long-running process."""

    log_format: LogFormat = Field(
        default="json", description="json for machines, console for people"
    )
    log_level: LogLevel = Field(
        default="info",
        description="least severe log level; SIGUSR1 switches to debug and back while it runs",
    )
    health_address: AddressText = Field(
        default=":8081",
        description="HOST:PORT of /healthz, /readyz and /metrics; port 0 selects a free one",
    )
    watch_idle_timeout: float = Field(
        default=80.0,
        ge=1,
        le=80,
        description=(
            "time without a byte after which a watch is opened again; the API server sends a "
            "bookmark about every minute, so a shorter time costs requests"
        ),
    )


SettingsType = TypeVar("SettingsType", bound=BaseSettings)


def load(
    settings: type[SettingsType], program: str, arguments: Sequence[str] | None = None
) -> SettingsType:
    """Build the settings from the command line and the environment.

    Args:
        settings: the class to build; its docstring is the text of `--help`.
        program: name of the process in `--help` and errors.
        arguments: the command line without the program; `sys.argv` by default.

    Raises:
        SystemExit: a setting is invalid; one line on standard error says which.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    settings.model_config["cli_prog_name"] = program
    source: CliSettingsSource[ArgumentParser] = CliSettingsSource(
        settings, add_argument_method=partial(_add_argument, settings=settings)
    )
    try:
        return CliApp.run(settings, cli_args=given, cli_settings_source=source)
    except ValidationError as error:
        problem = "; ".join(_problem(found["loc"], found["msg"]) for found in error.errors())
    except SettingsError as error:
        problem = str(error).removeprefix("error parsing CLI: ")
    sys.stderr.write(f"{program}: {problem}\n")
    raise SystemExit(EXIT_USAGE)


def _add_argument(
    parser: ArgumentParser, *names: str, settings: type[BaseSettings], **options: Any
) -> Any:
    """Add an argument, with a metavar that names the kind of its value."""
    field = settings.model_fields.get(options.get("dest", names[0]))
    if field is not None and "metavar" in options:
        options["metavar"] = _metavar(field, options["metavar"])
    for nothing in (" (default: null)", " (default: [])", " (default: )"):
        options["help"] = options.get("help", "").removesuffix(nothing)
    return ArgumentParser.add_argument(parser, *names, **options)


def _metavar(field: FieldInfo, type_name: str) -> str:
    for each in field.metadata:
        if isinstance(each, Metavar):
            return each.word
    if isinstance(field.annotation, type) and issubclass(field.annotation, Enum):
        return "{" + ",".join(each.value for each in field.annotation) + "}"
    return METAVARS.get(type_name, type_name)


def _problem(location: tuple[int | str, ...], message: str) -> str:
    """Return one sentence; an error of several flags together names them in its message."""
    flag = ".".join(str(part) for part in location).replace("_", "-")
    message = message.removeprefix("Value error, ")
    return f"--{flag}: {message}" if flag else message
