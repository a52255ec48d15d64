"""The process's clocks. What must agree between processes (leases, schedules) uses the database's `now()`."""

import time
from datetime import UTC, datetime
from time import clock_gettime
from typing import Final

# Linux leaves the time that a host was suspended out of every other clock that nobody can set; macOS counts it here.
SINCE_BOOT: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def now() -> datetime:
    """The current time, aware, in UTC."""
    return datetime.now(UTC)


def since_boot() -> float:
    """Seconds on a clock that no setting of the time moves, and that goes on while the host is suspended.

    For deadlines that somebody else goes by, such as a lease: `time.monotonic` would stand still in a suspended
    virtual machine while the lease runs out.
    """
    return clock_gettime(SINCE_BOOT)
