"""Ending tasks for certain."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

INSISTENCE_SECONDS = 0.5


async def end_all(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks until each of them has ended.

    Once is not enough: Python 3.11's `wait_for`, which redis-py uses for each command with a socket timeout, loses
    a cancellation that comes in the moment its wait is over (fixed in 3.12), and the task goes on as if nothing had
    been said. The soak test, with 1,000 sockets dropped at once, runs into it every time.
    """
    pending = {task for task in tasks if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        done, pending = await asyncio.wait(pending, timeout=INSISTENCE_SECONDS)
        for task in done:
            let_go(task)


def let_go(task: asyncio.Task[Any]) -> None:
    """Take the error out of a cancelled task: through its traceback the task would keep whoever keeps the task."""
    if task.cancelled():
        with suppress(asyncio.CancelledError):
            task.exception()
