"""Cancellations without a request, as some libraries and old versions of asyncio raise them."""

import asyncio
from typing import Any


def cancel_without_request(task: asyncio.Task[Any]) -> None:
    """Raise a `CancelledError` in a task, where it waits, that `Task.cancelling()` does not count.

    Python 3.13's `uncancel` revokes a cancellation that has not reached the task yet; here it has reached the awaited
    future.
    """
    task.cancel()
    task.uncancel()
