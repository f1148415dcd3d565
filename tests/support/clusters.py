"""Choose the clusters of a test run, and start and stop each.

`conftest.py` passes them to the tests.
"""

import contextlib
import datetime as dt
from collections.abc import Iterator
from pathlib import Path

from tests.support.cluster import Cluster, Kind
from tests.support.control_plane import MISSING as PROGRAMS_MISSING
from tests.support.control_plane import ControlPlane, Programs
from tests.support.devcluster import DevCluster
from tests.support.existing import MISSING as KUBECONFIG_MISSING
from tests.support.existing import ExistingCluster, existing_kubeconfig
from tests.support.users import ADMIN, User, new_users, write_kubeconfig

KINDS: tuple[Kind, ...] = ("devcluster", "real", "existing")


class NoSuchClusterError(Exception):
    """The requested kind of cluster is not available; the message says what to do."""


def chosen(named: Kind | None) -> tuple[Kind, ...]:
    """Return the kinds of cluster that `--cluster` selects.

    The default is devcluster, and the real one as well if it can start.

    Raises:
        NoSuchClusterError: the selected one cannot start on this machine. Skipping would report
            a run as green that has tested nothing.
    """
    if named == "real" and Programs.find() is None:
        raise NoSuchClusterError(PROGRAMS_MISSING)
    if named == "existing" and existing_kubeconfig() is None:
        raise NoSuchClusterError(KUBECONFIG_MISSING)
    if named is not None:
        return (named,)
    return ("devcluster",) if Programs.find() is None else ("devcluster", "real")


@contextlib.contextmanager
def started(
    kind: Kind, folder: Path, *devcluster_arguments: str, audit_log: Path | None = None
) -> Iterator[Cluster]:
    """Start a cluster of that kind in an empty folder, and stop it afterwards.

    Further flags are for devcluster alone; on a real server a test reaches the same state in
    its own way. An audit log gets a line for each request.
    """
    if kind == "existing":
        yield from _existing(folder)
        return
    users = new_users()
    if kind == "real":
        programs = Programs.find()
        if programs is None:
            raise NoSuchClusterError(PROGRAMS_MISSING)
        server: ControlPlane | DevCluster = ControlPlane(
            programs,
            folder,
            users,
            dt.datetime.now(dt.UTC),  # noqa: TID251 - the clock of the cluster is made here
            audit_log,
        )
        has_controllers = programs.has_controllers
    else:
        audit = [f"--audit-log-path={audit_log}"] if audit_log else []
        server, has_controllers = DevCluster(folder, users, *audit, *devcluster_arguments), True
    try:
        yield _ours(kind, server, folder, users, has_controllers=has_controllers)
    finally:
        server.stop()


def _ours(
    kind: Kind,
    server: ControlPlane | DevCluster,
    folder: Path,
    users: tuple[User, ...],
    *,
    has_controllers: bool,
) -> Cluster:
    by_name = {user.name: user for user in users}
    kubeconfig = write_kubeconfig(
        folder / "admin.kubeconfig",
        server.url,
        server.authority_file,
        {"token": by_name[ADMIN].token},
    )
    return Cluster(
        kind,
        server.url,
        server.authority_file,
        folder,
        by_name,
        kubeconfig,
        server,
        has_controllers,
    )


def _existing(folder: Path) -> Iterator[Cluster]:
    kubeconfig = existing_kubeconfig()
    if kubeconfig is None:
        raise NoSuchClusterError(KUBECONFIG_MISSING)
    proxy = ExistingCluster(kubeconfig, folder)
    cluster = Cluster("existing", proxy.url, None, folder, {}, kubeconfig, proxy)
    try:
        yield cluster
    finally:
        cluster.remove_namespaces()
        proxy.stop()
