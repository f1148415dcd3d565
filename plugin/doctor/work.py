"""Check the work: syncs without a report, blocked destinations, and orphans.

`examination.py` calls `check_work`. Nothing here reads the content of a ConfigMap.
"""

from collections import Counter

from plugin.doctor.findings import MOST_LISTED, Finding, Level, Patient
from plugin.rows import NOT_REPORTED, OUTDATED, StatusRow
from plugin.terminal import counted, listed


async def check_work(patient: Patient) -> list[Finding]:
    """Read all syncs and the metadata of all copies."""
    network = await patient.reader.network()
    rows = [*network.rows.values()]
    orphans = sorted(map(str, network.orphans))
    return [_reports(rows, patient), _blocked(rows), _orphans(orphans)]


def _reports(rows: list[StatusRow], patient: Patient) -> Finding:
    silent = [
        f"{row.namespace}/{row.name}" for row in rows if row.state in {NOT_REPORTED, OUTDATED}
    ]
    if not silent:
        message = f"the reconciler has reported on {counted(len(rows), 'sync')}"
        return Finding(Level.OK, "syncs", message)
    names = listed(silent, MOST_LISTED)
    message = f"{counted(len(silent), 'sync')} without a report on the present spec: {names}"
    return Finding(Level.WARNING, "syncs", message, patient.show_logs)


def _blocked(rows: list[StatusRow]) -> Finding:
    blocked = [row for row in rows if row.failed]
    if not blocked:
        return Finding(Level.OK, "destinations", "no destination is blocked")
    reasons = Counter(row.state for row in blocked)
    by_reason = ", ".join(f"{reason} {count}" for reason, count in sorted(reasons.items()))
    keys = [f"{row.namespace}/{row.name}" for row in blocked]
    names = listed(keys, MOST_LISTED)
    message = f"{counted(len(blocked), 'sync')} cannot write all copies ({by_reason}): {names}"
    remedy = f"kubectl configmapsync explain {keys[0]}"
    return Finding(Level.WARNING, "destinations", message, remedy)


def _orphans(orphans: list[str]) -> Finding:
    if not orphans:
        return Finding(Level.OK, "orphans", "every copy has its sync")
    copies = "1 copy" if len(orphans) == 1 else f"{len(orphans):,} copies"
    message = f"{copies} without a sync: {listed(orphans, MOST_LISTED)}"
    remedy = (
        f"create the sync again, or wait ten minutes; kubectl configmapsync explain {orphans[0]}"
    )
    return Finding(Level.WARNING, "orphans", message, remedy)
