"""Check that the API server reaches and trusts the webhook.

`examination.py` calls `check_answer`. It sends a request that the webhook must deny: a
dry run for a sync into a namespace that does not exist. So nothing is written even if
no webhook is called.
"""

from cluster.syncs import CONFIGMAPSYNCS
from configmapsync.names import API_VERSION, KIND
from kube.errors import ApiError, Forbidden
from plugin.doctor.findings import Finding, Level, Patient
from plugin.doctor.installed import APPLY_ALL

PROBE_NAME = "configmapsync-doctor"
PROBE_NAMESPACE = "default"
MISSING_NAMESPACE = "configmapsync-doctor-asks-for-a-denial"
DENIED = "denied the request"
CALL_FAILED = "failed calling webhook"
TLS_WORDS = ("x509", "certificate", "tls:")
PROBE_SECONDS = 15.0


async def check_answer(patient: Patient) -> list[Finding]:
    """Send the probe, and judge the answer of the API server."""
    try:
        await patient.reader.client.create(
            CONFIGMAPSYNCS, PROBE_NAMESPACE, _probe(), dry_run=True, timeout_seconds=PROBE_SECONDS
        )
    except ApiError as error:
        return [_judged(patient, error)]
    message = "the API server admits what the webhook must deny, so it does not call the webhook"
    return [Finding(Level.FAILURE, "webhook", message, APPLY_ALL)]


def _probe() -> dict[str, object]:
    spec = {"configMapName": PROBE_NAME, "destinationNamespace": MISSING_NAMESPACE}
    metadata = {"name": PROBE_NAME, "namespace": PROBE_NAMESPACE}
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": spec}


def _judged(patient: Patient, error: ApiError) -> Finding:
    if DENIED in error.message:
        return Finding(Level.OK, "webhook", "the API server reaches and trusts the webhook")
    if CALL_FAILED in error.message:
        return _failed(patient, error)
    if isinstance(error, Forbidden):
        message = f"no right to create a {KIND} in {PROBE_NAMESPACE}, so it was not called"
        remedy = "run doctor as an administrator"
        return Finding(Level.SKIPPED, "webhook", message, remedy)
    return Finding(Level.FAILURE, "webhook", f"the probe failed: {error}", "run doctor again")


def _failed(patient: Patient, error: ApiError) -> Finding:
    detail = error.message.rpartition(": ")[2]
    if any(word in error.message for word in TLS_WORDS):
        message = f"the API server does not trust the certificate of the webhook: {detail}"
        return Finding(Level.FAILURE, "webhook", message, patient.renew)
    message = f"the API server cannot reach the webhook: {detail}"
    remedy = f"kubectl get pods -n {patient.namespace} -l app.kubernetes.io/component=webhook"
    return Finding(Level.FAILURE, "webhook", message, remedy)
