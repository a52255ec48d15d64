"""Clocks that a test sets: the clock since boot, and the event loop's clock in one module."""

import asyncio
import time
from types import SimpleNamespace

import pytest

from core import clock


def suspend(patch: pytest.MonkeyPatch, seconds: float) -> None:
    """Move the clock since boot forward, as after a suspension of the host; the monotonic clock is unchanged."""
    real = time.clock_gettime
    patch.setattr(time, "clock_gettime", lambda kind: real(kind) + (seconds if kind == clock.SINCE_BOOT else 0.0))


class SimulatedTime:
    """Time that passes only while a module sleeps. While `resumed` is cleared, a sleep does not return."""

    def __init__(self) -> None:
        self.now = 0.0
        self.resumed = asyncio.Event()
        self.resumed.set()

    def time(self) -> float:
        """Seconds slept so far."""
        return self.now

    async def sleep(self, seconds: float) -> None:
        """Advance the time without waiting for it, and let other tasks run."""
        self.now += max(0.0, seconds)
        await asyncio.sleep(0)
        await self.resumed.wait()


def simulate(patch: pytest.MonkeyPatch, module: str) -> SimulatedTime:
    """Simulate the time of a module that sleeps and reads the loop's clock by its name `asyncio`."""
    simulated = SimulatedTime()
    loop = SimpleNamespace(time=simulated.time)
    names = {**vars(asyncio), "sleep": simulated.sleep, "get_running_loop": lambda: loop}
    patch.setattr(f"{module}.asyncio", SimpleNamespace(**names))
    return simulated
