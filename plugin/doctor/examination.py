"""Run every check of `doctor`, each of which may fail without stopping the others.

`commands/doctor.py` calls `examine`. A missing right skips a check and names the right.
"""

from collections.abc import Awaitable, Callable

import msgspec

from kube.errors import ApiError, Forbidden
from kube.wire import decode_as
from plugin.doctor.findings import Finding, Level, Patient
from plugin.doctor.installed import check_crd, check_webhooks
from plugin.doctor.processes import check_leader, check_watches
from plugin.doctor.rights import check_rights
from plugin.doctor.webhook import check_answer
from plugin.doctor.work import check_work
from plugin.reading import MissingApiError

Check = Callable[[Patient], Awaitable[list[Finding]]]
CHECKS: dict[str, Check] = {
    "CRD": check_crd,
    "webhook configurations": check_webhooks,
    "webhook": check_answer,
    "rights": check_rights,
    "leader": check_leader,
    "watches": check_watches,
    "syncs": check_work,
}


class _Version(msgspec.Struct, rename="camel"):
    git_version: str = "of an unknown version"


async def examine(patient: Patient) -> list[Finding]:
    """Return the findings of all checks.

    Raises:
        ApiError: not even the version of the API server could be read.
    """
    patient.reader.progress.step("reading the version of the API server")
    raw = await patient.reader.connection.request("GET", "/version")
    version = decode_as(raw, _Version, "the version").git_version
    findings = [Finding(Level.OK, "API server", f"kube-apiserver {version}")]
    for topic, check in CHECKS.items():
        patient.reader.progress.step(f"checking {topic}")
        findings += await _checked(topic, check, patient)
    return findings


async def _checked(topic: str, check: Check, patient: Patient) -> list[Finding]:
    try:
        return await check(patient)
    except MissingApiError:
        return [Finding(Level.SKIPPED, topic, "the CRD is not installed")]
    except Forbidden as error:
        remedy = "run doctor as an administrator"
        return [Finding(Level.SKIPPED, topic, f"no right: {error.message}", remedy)]
    except ApiError as error:
        return [Finding(Level.FAILURE, topic, f"cannot check: {error}", "run doctor again")]
