"""Waiting for other processes."""

import os
import time
from collections.abc import Callable

import pytest


def until(
    condition: Callable[[], bool],
    seconds: float = 60.0,
    *,
    otherwise: Callable[[], str] = lambda: "condition not met in time",
) -> None:
    """Wait until the condition is true; after `seconds`, fail with the message of `otherwise`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= deadline:
            pytest.fail(otherwise())
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    """Whether a process with this id exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
