"""A deadline raises `TimeoutError` also after earlier cancellations, and never hides a real cancellation."""

import asyncio
from contextlib import suppress

import pytest

from cancellation.deadlines import deadline
from tests.waiting import WAIT_SECONDS


def cancellation_count() -> int:
    """The cancellation count of the current task."""
    task = asyncio.current_task()
    assert task is not None
    return task.cancelling()


async def expire() -> None:
    """Let a deadline expire; the task's cancellation count is the same before and after."""
    before = cancellation_count()
    with pytest.raises(TimeoutError):
        async with deadline(0.01):
            await asyncio.sleep(WAIT_SECONDS)
    assert cancellation_count() == before


async def test_it_raises_a_timeout_error() -> None:
    """A block that takes too long raises `TimeoutError`; a quick one completes."""
    await expire()
    async with deadline(WAIT_SECONDS):
        await asyncio.sleep(0)
    async with deadline(None):
        await asyncio.sleep(0)
    assert cancellation_count() == 0


@pytest.mark.parametrize("seconds", [0.0, -1.0])
async def test_a_deadline_of_zero_seconds_times_out(seconds: float) -> None:
    """A deadline that has passed already raises at the first wait."""
    with pytest.raises(TimeoutError):
        async with deadline(seconds):
            await asyncio.sleep(WAIT_SECONDS)


async def test_it_holds_in_a_task_that_has_caught_a_cancellation() -> None:
    """A caught cancellation stays counted: up to 3.11.2 `asyncio.timeout` then raises `CancelledError`."""

    async def careless() -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(WAIT_SECONDS)
        assert cancellation_count() == 1
        await expire()
        await expire()

    task = asyncio.create_task(careless())
    await asyncio.sleep(0)
    task.cancel()
    await task


async def test_it_holds_after_a_failed_task_group() -> None:
    """Up to 3.12 a `TaskGroup` whose task fails leaves a count behind, without any cancellation."""

    async def fail() -> None:
        raise ValueError

    async def work() -> None:
        for _ in range(3):
            with pytest.raises(ExceptionGroup):
                async with asyncio.TaskGroup() as group:
                    group.create_task(fail())
            await expire()

    await asyncio.create_task(work())


async def test_a_real_cancellation_takes_precedence() -> None:
    """A task cancelled before the deadline, or at the same moment, gets the cancellation and not a timeout."""

    async def work(seconds: float, started: asyncio.Event) -> None:
        started.set()
        async with deadline(seconds):
            await asyncio.sleep(WAIT_SECONDS)

    early, together = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(work(WAIT_SECONDS, early))
    await early.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    task = asyncio.create_task(work(0.0, together))
    await together.wait()
    task.cancel()  # the deadline's own cancellation comes in the same iteration of the loop, before the task runs
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_nested_deadlines_that_expire_together() -> None:
    """Two deadlines that expire together, as after a blocked loop, end the outer block with its own timeout."""
    reached = []

    async def nested() -> None:
        async with deadline(0.0):
            async with deadline(0.0):
                await asyncio.sleep(WAIT_SECONDS)
            reached.append("between")

    with pytest.raises(TimeoutError):
        await nested()
    assert (reached, cancellation_count()) == ([], 0)


async def test_only_its_own_cancellation_becomes_a_timeout() -> None:
    """An error of the block is raised, even if the deadline expires meanwhile."""

    async def fail() -> None:
        async with deadline(0.0):
            try:
                await asyncio.sleep(WAIT_SECONDS)
            except asyncio.CancelledError:
                raise ValueError("its own") from None

    with pytest.raises(ValueError, match="its own"):
        await fail()
    assert cancellation_count() == 0
