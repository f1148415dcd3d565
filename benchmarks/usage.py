"""Read the CPU time and the memory of a process, as Linux counts them."""

import os
import re
from pathlib import Path

CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(process_id: int) -> float:
    """Return the CPU time of all threads of a process so far, in steps of 10 ms."""
    fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS


def resident_mebibytes(process_id: int) -> float:
    """Return the resident memory of a process."""
    return _mebibytes(process_id, "VmRSS")


def peak_mebibytes(process_id: int) -> float:
    """Return the highest resident memory that a process has had."""
    return _mebibytes(process_id, "VmHWM")


def _mebibytes(process_id: int, line: str) -> float:
    status = Path(f"/proc/{process_id}/status").read_text()
    [kibibytes] = re.findall(rf"^{line}:\s+(\d+) kB$", status, re.MULTILINE)
    return int(kibibytes) / 1024
