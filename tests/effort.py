"""How much work something is on any machine: calls of functions instead of seconds, and an end to what has none."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

MAX_CPU_SECONDS = 60.0


@dataclass
class Effort:
    """The calls of Python functions, and of functions written in C, by everything in this thread."""

    calls: int = 0


@contextmanager
def counted() -> Iterator[Effort]:
    """Count calls in the block, in every task that runs meanwhile."""
    effort, before = Effort(), sys.getprofile()

    def count(frame: FrameType, event: str, argument: object) -> None:  # noqa: ARG001 - a profiler's signature
        effort.calls += event in {"call", "c_call"}

    sys.setprofile(count)
    try:
        yield effort
    finally:
        sys.setprofile(before)


@contextmanager
def ends() -> Iterator[None]:
    """Interrupt what is still at work after a minute of CPU time: it would not end, or not before hours.

    A limit for waiting and not a measurement: what it guards takes well below a second, or grows without bound.

    Raises:
        TimeoutError: it was interrupted.
    """

    def interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - a signal handler's signature
        raise TimeoutError(f"still at work after {MAX_CPU_SECONDS:.0f} s of CPU time")

    before = signal.signal(signal.SIGPROF, interrupt)
    signal.setitimer(signal.ITIMER_PROF, MAX_CPU_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
