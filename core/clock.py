"""The process's clocks. What must agree between processes (leases, schedules) uses the database's `now()`."""

import time
from datetime import UTC, datetime
from typing import Final

# On Linux CLOCK_MONOTONIC leaves out the time that the host was suspended; on macOS it does not.
SINCE_BOOT: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def now() -> datetime:
    """The current time, aware, in UTC."""
    return datetime.now(UTC)


def since_boot() -> float:
    """Seconds of CLOCK_BOOTTIME: no setting of the time moves it, and it goes on while this kernel is suspended.

    For deadlines that others enforce, such as a lease in the database: `time.monotonic` stands still while the host
    sleeps. A virtual machine that its hypervisor pauses sees no time pass on any clock.
    """
    return time.clock_gettime(SINCE_BOOT)
