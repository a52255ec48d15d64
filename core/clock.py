"""The clocks of this process. Times that processes compare (leases, schedules) come from the database's clock."""

import time
from datetime import UTC, datetime
from typing import Final

# On Linux CLOCK_MONOTONIC stops while the host is suspended; on macOS it does not.
SINCE_BOOT: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def now() -> datetime:
    """The current time in UTC, timezone-aware."""
    return datetime.now(UTC)


def since_boot() -> float:
    """Seconds of CLOCK_BOOTTIME, which is never set, and which runs on while the host is suspended.

    For deadlines that another system enforces, such as a lease in the database: `time.monotonic` stops while the host
    is suspended. While a hypervisor pauses a virtual machine, all of its clocks stop.
    """
    return time.clock_gettime(SINCE_BOOT)
