"""`python -m devcluster`: read the flags and serve until SIGTERM or Ctrl-C."""

import argparse
import asyncio
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

import structlog
import uvloop

from devcluster.admission.endpoint import Address, parse_service_address
from devcluster.app import Options, read_users, serve
from devcluster.errors import ApiStatus

EXIT_FAILURE = 1


def main() -> None:
    """Serve until a signal comes; end the process with its exit code."""
    arguments = _parser().parse_args()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.dev.ConsoleRenderer(
                colors=False, exception_formatter=structlog.dev.plain_traceback
            ),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    try:
        options = _options(arguments)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(options))
    except (OSError, ValueError, ApiStatus) as error:
        sys.stderr.write(f"devcluster: {error}\n")
        sys.exit(EXIT_FAILURE)


async def _serve(options: Options) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with serve(options, _now) as running:
        sys.stdout.write(f"serving at {running.url}\n")
        sys.stdout.flush()
        await stop.wait()


def _options(arguments: argparse.Namespace) -> Options:
    host, _, port = arguments.listen.rpartition(":")
    if not port.isdecimal():
        raise ValueError(f"--listen: {arguments.listen!r} is not HOST:PORT")
    return Options(
        host=host.strip("[]") or "127.0.0.1",
        port=int(port),
        kubeconfig=arguments.kubeconfig,
        users=read_users(arguments.token_auth_file),
        data=arguments.data,
        manifests=arguments.apply,
        services=dict(arguments.service_address),
        audit_log=arguments.audit_log_path,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="devcluster", description="A Kubernetes API server in memory, for demo and tests."
    )
    add = parser.add_argument
    add(
        "--listen",
        default="127.0.0.1:6443",
        metavar="HOST:PORT",
        help="where to listen; port 0 picks one (default: %(default)s)",
    )
    add("--kubeconfig", type=Path, help="written when it serves")
    add(
        "--token-auth-file",
        type=Path,
        help='users, a line each: token,user,uid,"group1,group2" (default: one admin)',
    )
    add(
        "--apply",
        type=Path,
        action="append",
        default=[],
        metavar="FILE_OR_FOLDER",
        help="manifests applied at the start; may repeat",
    )
    add(
        "--data",
        type=Path,
        metavar="FILE",
        help="a snapshot, read at the start and kept up to date",
    )
    add(
        "--audit-log-path",
        type=Path,
        metavar="FILE",
        help="gets a line for each request: who asked for what, and whether they may",
    )
    add(
        "--service-address",
        type=_service,
        action="append",
        default=[],
        metavar="NAMESPACE/NAME=HOST:PORT",
        help="where a webhook that is named as a service really listens; may repeat",
    )
    return parser


def _service(text: str) -> tuple[tuple[str, str], Address]:
    try:
        return parse_service_address(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - the one clock of the process


if __name__ == "__main__":
    main()
