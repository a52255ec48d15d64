"""The process's clock since boot, as if the host had been suspended meanwhile."""

import time

import pytest

from core import clock


def suspend(patch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let the clock since boot be so much later than it is; the monotonic clock stays."""
    real = time.clock_gettime
    patch.setattr(time, "clock_gettime", lambda kind: real(kind) + (seconds if kind == clock.SINCE_BOOT else 0.0))
