"""Clocks that a test sets: that since boot, and the event loop's as one module sees it."""

import asyncio
import time
from types import SimpleNamespace

import pytest

from core import clock


def suspend(patch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let the clock since boot be so much later than it is; the monotonic clock stays."""
    real = time.clock_gettime
    patch.setattr(time, "clock_gettime", lambda kind: real(kind) + (seconds if kind == clock.SINCE_BOOT else 0.0))


class SimulatedTime:
    """Time that passes while a module sleeps, and only then: at once, or when the test sets `goes_on`."""

    def __init__(self) -> None:
        self.now = 0.0
        self.goes_on = asyncio.Event()
        self.goes_on.set()

    def time(self) -> float:
        """Seconds slept so far."""
        return self.now

    async def sleep(self, seconds: float) -> None:
        """Let others run, and so many seconds be over."""
        self.now += max(0.0, seconds)
        await asyncio.sleep(0)
        await self.goes_on.wait()


def simulate(patch: pytest.MonkeyPatch, module: str) -> SimulatedTime:
    """Simulate the time of a module that sleeps and reads the loop's clock by its name `asyncio`."""
    simulated = SimulatedTime()
    loop = SimpleNamespace(time=simulated.time)
    names = {**vars(asyncio), "sleep": simulated.sleep, "get_running_loop": lambda: loop}
    patch.setattr(f"{module}.asyncio", SimpleNamespace(**names))
    return simulated
