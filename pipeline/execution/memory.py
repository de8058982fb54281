"""The most memory that this process has held."""

import resource
import sys
from contextlib import suppress
from pathlib import Path


def peak_mb() -> float:
    """Of the host's memory, in 10⁶ bytes; on Linux since it was last reset (`/proc/self/clear_refs`)."""
    with suppress(OSError):
        [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
        return int(line.split()[1]) * 1024 / 1e6
    bytes_per_unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * bytes_per_unit / 1e6
