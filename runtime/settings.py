"""Settings of a process: one frozen object from flags and environment, so that nothing else ever reads either.

A flag wins over an environment variable, which wins over the default. `--help` is made from the field descriptions.
The neighbour is `lifecycle.py`; this module must not read a cluster.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, NoReturn, Self, TypeVar

from pydantic import AfterValidator, Field, ValidationError
from pydantic_settings import BaseSettings, CliApp, SettingsConfigDict, SettingsError

ENVIRONMENT_PREFIX = "CONFIGMAPSYNC_"
EXIT_USAGE = 2

# The upper bound of every duration, a month: an event loop cannot wait for infinity, nor for 1e308 seconds.
LONGEST_SECONDS = 30 * 86400


LogFormat = Literal["json", "console"]
LogLevel = Literal["debug", "info", "warning", "error"]


class Address(NamedTuple):
    """Where a server listens: no host means every interface; port 0 lets the system pick one."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `HOST:PORT`, `:PORT` (every interface, by IPv6 and IPv4) or `[IPv6]:PORT`.

        Raises:
            ValueError: it is none of these.
        """
        host, colon, port = text.rpartition(":")
        if not colon or not port.isdecimal() or int(port) > 65535:
            raise ValueError(f"{text!r} is not HOST:PORT")
        return cls(host.removeprefix("[").removesuffix("]"), int(port))


def _readable_address(text: str) -> str:
    Address.parse(text)
    return text


AddressText = Annotated[str, AfterValidator(_readable_address)]


class ClusterSettings(BaseSettings):
    """Which cluster, and as whom."""

    model_config = SettingsConfigDict(
        env_prefix=ENVIRONMENT_PREFIX,
        cli_kebab_case=True,
        cli_implicit_flags=True,
        cli_hide_none_type=True,
        frozen=True,
    )

    kubeconfig: Path | None = Field(
        default=None,
        description="kubeconfig file; default: $KUBECONFIG, else the pod's service account, else ~/.kube/config",
    )
    context: str | None = Field(
        default=None, description="context of the kubeconfig; default: its current one"
    )
    relaxed_tls: bool = Field(
        default=False,
        description="accept a cluster CA without key identifiers, which Python 3.13 and later refuse by default",
    )


class ProcessSettings(ClusterSettings):
    """What all our processes understand."""

    log_format: LogFormat = Field(
        default="json", description="json for machines, console for people"
    )
    log_level: LogLevel = Field(
        default="info",
        description="the least severe line that is written; SIGUSR1 raises it to debug, and again back",
    )
    health_address: AddressText = Field(
        default=":8081", description="HOST:PORT of /healthz, /readyz and /metrics; port 0 picks one"
    )


SettingsType = TypeVar("SettingsType", bound=BaseSettings)


def load(
    settings: type[SettingsType], program: str, arguments: Sequence[str] | None = None
) -> SettingsType:
    """Build the settings from the command line and the environment, or end the process with one line for people.

    Args:
        settings: the class to build; its docstring is the text of `--help`.
        program: what the process is called in `--help` and errors.
        arguments: the command line without the program; `sys.argv` by default.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    settings.model_config["cli_prog_name"] = program
    try:
        return CliApp.run(settings, cli_args=given)
    except ValidationError as error:
        _refuse(
            program,
            "; ".join(_problem(details["loc"], details["msg"]) for details in error.errors()),
        )
    except SettingsError as error:
        _refuse(program, str(error).removeprefix("error parsing CLI: "))


def _problem(location: tuple[int | str, ...], message: str) -> str:
    """A sentence; what is wrong with several flags together names them itself."""
    flag = ".".join(str(part) for part in location).replace("_", "-")
    return f"--{flag}: {message}" if flag else message.removeprefix("Value error, ")


def _refuse(program: str, problem: str) -> NoReturn:
    sys.stderr.write(f"{program}: {problem}\n")
    raise SystemExit(EXIT_USAGE)
