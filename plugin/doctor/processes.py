"""Check the processes: which reconciler leads, and how old the watches are.

`examination.py` calls each function. The age of a watch is the time since its last
event. It comes from `/metrics` of the pods, through the API server or from a forwarded
port.
"""

import asyncio
import re
from datetime import datetime, timedelta

import aiohttp

from kube.client import Kind
from kube.errors import ApiError, Forbidden
from kube.http_messages import read_up_to
from kube.lease_record import LeaseRecord, LeaseSpec
from kube.wire import decode_object
from plugin.doctor.findings import PREFIX, Finding, Level, Patient

PODS = Kind("", "v1", "pods")
COMPONENTS = (
    "app.kubernetes.io/name=configmapsync,app.kubernetes.io/component in (reconciler,webhook)"
)
HEALTH_PORT = 8081
READ_SECONDS = 5.0
MOST_PODS = 20
MOST_METRICS_BYTES = 4 << 20
WATCH_AGE = re.compile(
    r'^configmapsync_watch_age_seconds\{name="([^"]{1,100})"\} ([0-9.e+-]+)$', re.MULTILINE
)
# A watch gets a bookmark each minute, and the process itself gives up after 90 s of silence.
OLD_SECONDS, DEAD_SECONDS = 90.0, 300.0
DEFAULT_LEASE_SECONDS = 15


async def check_leader(patient: Patient) -> list[Finding]:
    """Check that a reconciler holds the Lease and renews it in time."""
    name = f"{PREFIX}reconciler"
    record = LeaseRecord(patient.reader.connection, patient.namespace, name)
    seen = await record.read(READ_SECONDS)
    if seen is None:
        message = (
            f"there is no Lease {patient.namespace}/{name}: "
            "no reconciler has run there with leader election"
        )
        return [Finding(Level.WARNING, "leader", message, patient.show_logs)]
    return [_judged_lease(seen.spec, patient.now, patient.show_logs)]


def _judged_lease(lease: LeaseSpec, now: datetime, logs: str) -> Finding:
    if not lease.holder_identity:
        return Finding(Level.FAILURE, "leader", "no reconciler holds the Lease", logs)
    try:
        renewed = datetime.fromisoformat(lease.renew_time or "")
        passed = now - renewed
    except (ValueError, TypeError):
        message = f"{lease.holder_identity} holds the Lease without a time of renewal"
        return Finding(Level.FAILURE, "leader", message, logs)
    duration = timedelta(seconds=lease.lease_duration_seconds or DEFAULT_LEASE_SECONDS)
    seconds = max(0, round(passed.total_seconds()))
    message = f"{lease.holder_identity} leads and renewed its Lease {seconds} s ago"
    if passed > duration:
        message = f"{lease.holder_identity} has not renewed its Lease for {seconds} s"
        return Finding(Level.FAILURE, "leader", message, logs)
    return Finding(Level.OK, "leader", message)


async def check_watches(patient: Patient) -> list[Finding]:
    """Return a finding about the oldest watch of each process."""
    if patient.metrics_url:
        return [_judged_metrics(patient.metrics_url, await _fetched(patient.metrics_url))]
    pods = await _pods(patient)
    if not pods:
        message = f"no pod of the operator runs in {patient.namespace}"
        remedy = f"kubectl get pods -n {patient.namespace}, or --operator-namespace"
        return [Finding(Level.WARNING, "watches", message, remedy)]
    return await asyncio.gather(*(_through_api_server(patient, pod) for pod in pods))


async def _pods(patient: Patient) -> list[str]:
    selected = {"labelSelector": COMPONENTS, "limit": str(MOST_PODS)}
    raw = await patient.reader.client.list(PODS, patient.namespace, params=selected)
    return [
        pod["metadata"]["name"]
        for pod in decode_object(raw, "the pods").get("items") or ()
        if pod.get("status", {}).get("phase") == "Running"
    ]


async def _through_api_server(patient: Patient, pod: str) -> Finding:
    try:
        path = f"{pod}:{HEALTH_PORT}/proxy/metrics"
        raw = await patient.reader.client.get(
            PODS, patient.namespace, path, timeout_seconds=READ_SECONDS
        )
    except ApiError as error:
        why = "no right to read" if isinstance(error, Forbidden) else "cannot read"
        message = f"{why} the metrics of pod {pod} through the API server"
        remedy = (
            f"kubectl port-forward -n {patient.namespace} pod/{pod} {HEALTH_PORT}, then doctor "
            f"--metrics-url http://127.0.0.1:{HEALTH_PORT}/metrics"
        )
        return Finding(Level.SKIPPED, "watches", message, remedy)
    return _judged_metrics(f"pod {pod}", raw)


async def _fetched(url: str) -> bytes:
    limits = aiohttp.ClientTimeout(total=READ_SECONDS)
    try:
        async with aiohttp.ClientSession(timeout=limits) as session, session.get(url) as answer:
            return await read_up_to(answer, MOST_METRICS_BYTES) or b""
    except (aiohttp.ClientError, TimeoutError, ValueError):
        return b""


def _judged_metrics(where: str, metrics: bytes) -> Finding:
    text = metrics.decode(errors="replace")
    ages = {name: float(age) for name, age in WATCH_AGE.findall(text)}
    if not ages:
        message = f"{where} shows no watch age"
        return Finding(Level.WARNING, "watches", message, "check the address and the port")
    oldest = max(ages, key=ages.__getitem__)
    seconds = round(ages[oldest])
    if ages[oldest] < OLD_SECONDS:
        message = f"{where}: the oldest of {len(ages)} watches heard something {seconds} s ago"
        return Finding(Level.OK, "watches", message)
    level = Level.FAILURE if ages[oldest] >= DEAD_SECONDS else Level.WARNING
    message = f"{where}: the watch of {oldest} has heard nothing for {seconds} s"
    return Finding(level, "watches", message, "restart the pod, and check the API server")
