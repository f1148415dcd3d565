"""Check what is installed: the CRD and the webhook configurations.

`examination.py` calls each function. The certificates are those in `caBundle`; no
Secret is read.
"""

import base64
import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from configmapsync.crd import custom_resource_definition
from configmapsync.names import GROUP, KIND, PLURAL, VERSION
from kube.client import MUTATING_WEBHOOKS, VALIDATING_WEBHOOKS, Kind
from kube.wire import decode_object
from plugin.doctor.findings import Finding, Level, Patient
from plugin.terminal import counted

CRDS = Kind("apiextensions.k8s.io", "v1", "customresourcedefinitions")
CRD_NAME = f"{PLURAL}.{GROUP}"
APPLY_CRD = "kubectl apply -k config/crd"
APPLY_ALL = "kubectl apply -k config/default, or helm upgrade"
SOON = timedelta(days=7)
MOST_CERTIFICATES = 64  # of one bundle
PEM_BLOCK = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


async def check_crd(patient: Patient) -> list[Finding]:
    """Compare the CRD of the cluster with that of this program."""
    raw = await patient.reader.get(CRDS, "", CRD_NAME)
    if raw is None:
        return [Finding(Level.FAILURE, "CRD", f"{CRD_NAME} is not installed", APPLY_CRD)]
    crd = decode_object(raw, CRD_NAME)
    conditions = crd.get("status", {}).get("conditions", ())
    if not any(each["type"] == "Established" and each["status"] == "True" for each in conditions):
        remedy = f"kubectl describe crd {CRD_NAME}"
        return [Finding(Level.FAILURE, "CRD", f"{CRD_NAME} is not established", remedy)]
    served = _version(crd)
    if served is None or not served.get("served"):
        return [Finding(Level.FAILURE, "CRD", f"{CRD_NAME} does not serve {VERSION}", APPLY_CRD)]
    if served["schema"] != _version(custom_resource_definition())["schema"]:
        message = f"{CRD_NAME} has the schema of another version than this program"
        return [Finding(Level.WARNING, "CRD", message, APPLY_CRD)]
    return [
        Finding(Level.OK, "CRD", f"{CRD_NAME} serves {VERSION} with the schema of this version")
    ]


def _version(crd: dict[str, Any]) -> Any:
    versions = crd.get("spec", {}).get("versions", ())
    return next((each for each in versions if each.get("name") == VERSION), None)


async def check_webhooks(patient: Patient) -> list[Finding]:
    """Check both webhook configurations, and the certificates in `caBundle`."""
    found: list[Finding] = []
    for kind in (MUTATING_WEBHOOKS, VALIDATING_WEBHOOKS):
        word = kind.plural.removesuffix("webhookconfigurations")
        answer = decode_object(await patient.reader.client.list(kind), kind.plural)
        webhooks = [each for item in answer.get("items") or () for each in _webhooks_of_syncs(item)]
        if not webhooks:
            message = f"no {word} webhook for {KIND} is registered"
            found.append(Finding(Level.FAILURE, "webhook", message, APPLY_ALL))
        for webhook in webhooks:
            found += _findings(patient, word, webhook)
    return found


def _webhooks_of_syncs(configuration: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for webhook in configuration.get("webhooks") or ():
        rules = webhook.get("rules") or ()
        if any(GROUP in rule["apiGroups"] and PLURAL in rule["resources"] for rule in rules):
            yield webhook


def _findings(patient: Patient, word: str, webhook: dict[str, Any]) -> Iterator[Finding]:
    if webhook.get("failurePolicy") != "Fail":
        message = f"the {word} webhook has failurePolicy {webhook.get('failurePolicy')}, not Fail"
        yield Finding(Level.WARNING, "webhook", message, APPLY_ALL)
    bundle = f"caBundle of the {word} webhook"
    expiries = list(_expiries(webhook.get("clientConfig", {}).get("caBundle") or ""))
    good = [moment for moment in expiries if moment > patient.now]
    if not good:
        message = f"every certificate in {bundle} has expired"
        if not expiries:
            message = f"{bundle} holds no certificate"
        yield Finding(Level.FAILURE, "certificates", message, patient.renew)
    elif max(good) - patient.now < SOON:
        message = f"the last certificate in {bundle} expires {max(good):%F}"
        yield Finding(Level.WARNING, "certificates", message, patient.renew)
    else:
        held = counted(len(good), "certificate")
        message = f"{bundle} holds {held}, valid until {max(good):%F}"
        yield Finding(Level.OK, "certificates", message)


def _expiries(bundle: str) -> Iterator[datetime]:
    """Yield the expiry of each readable certificate."""
    # cryptography takes longer to import than the whole rest of a command.
    from cryptography import x509  # noqa: PLC0415

    try:
        text = base64.b64decode(bundle)
    except ValueError:
        return
    for block in PEM_BLOCK.findall(text)[:MOST_CERTIFICATES]:
        with suppress(ValueError):
            yield x509.load_pem_x509_certificate(block).not_valid_after_utc
