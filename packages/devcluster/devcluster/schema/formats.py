"""The string formats that a schema may name. An unknown format accepts every text."""

import base64
import binascii
import datetime as dt
import ipaddress
import re
from collections.abc import Callable

DATE_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt]([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d+)?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)"
)
UUID = re.compile(
    r"[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{12}"
)
DURATION = re.compile(
    r"[+-]?(0|((\d+(\.\d*)?|\.\d+)\s*(ns|us|µs|ms|s|m|h|d|w|days?|weeks?|hours?|minutes?|seconds?)\s*)+)"
)
EMAIL = re.compile(r"[^@\s<>]+@[^@\s<>]+")
URI = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*:|/)[^\s]*")
HOST_NAME = re.compile(
    r"(?=.{1,253}$)[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(\.[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*\.?"
)


def has_format(text: str, name: str) -> bool:
    """Return whether the text has that format; every text has an unknown format."""
    check = CHECKS.get(name)
    return check is None or check(text)


def _date(text: str) -> bool:
    if len(text) != len("2006-01-02"):
        return False
    return _reads(dt.date.fromisoformat, text)


def _date_time(text: str) -> bool:
    parts = DATE_TIME.fullmatch(text)
    return parts is not None and _date(parts[1])


def _reads(reader: Callable[[str], object], text: str) -> bool:
    try:
        reader(text)
    except (ValueError, binascii.Error):
        return False
    return True


def _matches(pattern: re.Pattern[str]) -> Callable[[str], bool]:
    return lambda text: pattern.fullmatch(text) is not None


CHECKS: dict[str, Callable[[str], bool]] = {
    "date": _date,
    "date-time": _date_time,
    "datetime": _date_time,
    "duration": _matches(DURATION),
    "uuid": _matches(UUID),
    "email": _matches(EMAIL),
    "uri": _matches(URI),
    "hostname": _matches(HOST_NAME),
    "ipv4": lambda text: _reads(ipaddress.IPv4Address, text),
    "ipv6": lambda text: _reads(ipaddress.IPv6Address, text),
    "cidr": lambda text: (
        "/" in text and _reads(lambda cidr: ipaddress.ip_network(cidr, strict=False), text)
    ),
    "byte": lambda text: _reads(lambda encoded: base64.b64decode(encoded, validate=True), text),
}
