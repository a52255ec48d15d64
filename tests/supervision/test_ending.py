"""`cancel_and_wait` ends tasks, even those that lose a cancellation."""

import asyncio
from contextlib import suppress

from cancellation.tasks import cancel_and_wait


async def test_a_lost_cancellation_is_repeated() -> None:
    """A task that swallows the first cancellation, as `wait_for` of Python 3.11 can, is cancelled again."""
    lost = 0

    async def swallowing() -> None:
        nonlocal lost
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(3600)
        lost += 1
        await asyncio.sleep(3600)

    task = asyncio.create_task(swallowing())
    await asyncio.sleep(0)
    async with asyncio.timeout(60):
        await cancel_and_wait([task])
    assert (lost, task.cancelled()) == (1, True)
    await cancel_and_wait([task])


async def test_a_cancelled_caller_does_not_interrupt_the_clean_up() -> None:
    """However often the caller is cancelled, a task that cleans up is not cancelled again too early."""
    events: list[str] = []

    async def closing() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.1)
            events.append("in order")

    task = asyncio.create_task(closing())
    await asyncio.sleep(0)
    caller = asyncio.create_task(cancel_and_wait([task]))
    for _ in range(5):
        await asyncio.sleep(0.01)
        caller.cancel()
    await asyncio.wait([caller])
    assert (caller.cancelled(), task.cancelled(), events) == (True, True, ["in order"])
