"""Limits for expensive code that do not depend on the machine: function calls instead of seconds, and CPU time."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

MAX_CPU_SECONDS = 60.0


@dataclass
class Effort:
    """The number of calls of Python and C functions in this thread."""

    calls: int = 0


@contextmanager
def count_calls() -> Iterator[Effort]:
    """Count function calls during the block, in all tasks."""
    effort, before = Effort(), sys.getprofile()

    def count(frame: FrameType, event: str, argument: object) -> None:  # noqa: ARG001 - a profiler's signature
        effort.calls += event in {"call", "c_call"}

    sys.setprofile(count)
    try:
        yield effort
    finally:
        sys.setprofile(before)


@contextmanager
def cpu_limit() -> Iterator[None]:
    """Interrupt the block when it has used a minute of CPU time.

    This is no measurement: the code under test takes well below a second, or its time grows without limit.

    Raises:
        TimeoutError: the block was interrupted.
    """

    def interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - a signal handler's signature
        raise TimeoutError(f"not finished after {MAX_CPU_SECONDS:.0f} s of CPU time")

    before = signal.signal(signal.SIGPROF, interrupt)
    signal.setitimer(signal.ITIMER_PROF, MAX_CPU_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
