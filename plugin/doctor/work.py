"""Check the work: syncs without a report, blocked destinations, and orphans.

`examination.py` calls `check_work`. Nothing here reads the content of a ConfigMap.
"""

from collections import Counter

from configmapsync.reasons import Reason, State
from plugin.doctor.findings import Finding, Level, Patient, listed
from plugin.rows import NOT_REPORTED, OUTDATED, StatusRow
from plugin.terminal import counted


async def check_work(patient: Patient) -> list[Finding]:
    """Read all syncs and the metadata of all copies."""
    network = await patient.reader.network()
    rows = [network.row(record) for record in network.syncs.values()]
    return [
        *_reports(rows, patient),
        *_blocked(rows),
        *_orphans(sorted(str(copy.key) for copy in network.orphans)),
    ]


def _reports(rows: list[StatusRow], patient: Patient) -> list[Finding]:
    silent = [
        f"{row.namespace}/{row.name}" for row in rows if row.state in {NOT_REPORTED, OUTDATED}
    ]
    if not silent:
        message = f"the reconciler has reported on {counted(len(rows), 'sync')}"
        return [Finding(Level.OK, "syncs", message)]
    message = (
        f"{counted(len(silent), 'sync')} without a report on the present spec: {listed(silent)}"
    )
    remedy = f"kubectl logs -n {patient.namespace} -l app.kubernetes.io/component=reconciler"
    return [Finding(Level.WARNING, "syncs", message, remedy)]


def _blocked(rows: list[StatusRow]) -> list[Finding]:
    blocked = [row for row in rows if _is_failed(row)]
    if not blocked:
        return [Finding(Level.OK, "destinations", "no destination is blocked")]
    reasons = Counter(row.state for row in blocked)
    by_reason = ", ".join(f"{reason} {count}" for reason, count in sorted(reasons.items()))
    names = [f"{row.namespace}/{row.name}" for row in blocked]
    message = (
        f"{counted(len(blocked), 'sync')} cannot write all copies ({by_reason}): {listed(names)}"
    )
    remedy = f"kubectl configmapsync explain {names[0]}"
    return [Finding(Level.WARNING, "destinations", message, remedy)]


def _is_failed(row: StatusRow) -> bool:
    reason = Reason.parse(row.state)
    return row.failed > 0 or (reason is not None and reason.state is State.FAILED)


def _orphans(orphans: list[str]) -> list[Finding]:
    if not orphans:
        return [Finding(Level.OK, "orphans", "every copy has its sync")]
    message = f"{counted(len(orphans), 'copy').replace('copys', 'copies')} without a sync: "
    remedy = (
        f"create the sync again, or wait ten minutes; kubectl configmapsync explain {orphans[0]}"
    )
    return [Finding(Level.WARNING, "orphans", message + listed(orphans), remedy)]
