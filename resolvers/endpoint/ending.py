"""Ending tasks for certain."""

import asyncio
from collections.abc import Iterable
from typing import Any

INSISTENCE_SECONDS = 0.5


async def end_all(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks until each of them has ended.

    Once is not enough: Python 3.11's `wait_for`, which the connection pool uses, loses a cancellation that comes in
    the moment its wait is over (fixed in 3.12), and the task goes on as if nothing had been said.
    """
    pending = {task for task in tasks if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=INSISTENCE_SECONDS)
