"""Wait for what another process does."""

import os
import time
from collections.abc import Callable


def until(
    condition: Callable[[], bool], seconds: float = 60.0, *, otherwise: Callable[[], str] = lambda: "waited in vain"
) -> None:
    """Return as soon as the condition holds; fail with what `otherwise` says when it does not within the time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, otherwise()
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    """Whether there is a process of that id."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
