"""Cancellations that nobody asked for, as libraries and old versions of asyncio let them out."""

import asyncio
from typing import Any


def stray(task: asyncio.Task[Any]) -> None:
    """Throw a `CancelledError` into a task, at what it waits for, that `Task.cancelling()` does not count.

    Python 3.13's `uncancel` takes a cancellation back that has not reached the task; the waiter's has.
    """
    task.cancel()
    task.uncancel()
