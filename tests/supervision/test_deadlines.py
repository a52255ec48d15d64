"""A time limit raises `TimeoutError` whatever the task has lived through, and hides nobody's cancellation."""

import asyncio
from contextlib import suppress

import pytest

from cancellation.deadlines import deadline
from tests.waiting import WAIT_SECONDS


def counted() -> int:
    """How many cancellations the current task counts."""
    task = asyncio.current_task()
    assert task is not None
    return task.cancelling()


async def expire() -> None:
    """Let a deadline pass; the task counts no more cancellations afterwards than before."""
    before = counted()
    with pytest.raises(TimeoutError):
        async with deadline(0.01):
            await asyncio.sleep(WAIT_SECONDS)
    assert counted() == before


async def test_it_raises_a_timeout_error() -> None:
    """A block that takes too long ends by `TimeoutError`; one that does not goes through."""
    await expire()
    async with deadline(WAIT_SECONDS):
        await asyncio.sleep(0)
    async with deadline(None):
        await asyncio.sleep(0)
    assert counted() == 0


@pytest.mark.parametrize("seconds", [0.0, -1.0])
async def test_no_time_at_all_is_a_timeout(seconds: float) -> None:
    """A deadline that has passed already lets nothing wait."""
    with pytest.raises(TimeoutError):
        async with deadline(seconds):
            await asyncio.sleep(WAIT_SECONDS)


async def test_it_holds_in_a_task_that_has_lost_a_cancellation() -> None:
    """A cancellation that was caught stays counted: up to 3.11.2 `asyncio.timeout` lets a `CancelledError` out."""

    async def careless() -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(WAIT_SECONDS)
        assert counted() == 1
        await expire()
        await expire()

    task = asyncio.create_task(careless())
    await asyncio.sleep(0)
    task.cancel()
    await task


async def test_it_holds_after_a_failed_task_group() -> None:
    """Up to 3.12 a `TaskGroup` whose task fails leaves a count behind, with nobody having cancelled anything."""

    async def fail() -> None:
        raise ValueError

    async def work() -> None:
        for _ in range(3):
            with pytest.raises(ExceptionGroup):
                async with asyncio.TaskGroup() as group:
                    group.create_task(fail())
            await expire()

    await asyncio.create_task(work())


async def test_a_real_cancellation_goes_first() -> None:
    """Who is cancelled before the time is up, or in the same moment, sees the cancellation and not a timeout."""

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
    task.cancel()  # the deadline's own call comes in the same turn of the loop, before the task has its turn
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_the_inner_and_the_outer_at_once() -> None:
    """Two deadlines that pass together, as after a hold-up, end the outer block by its own timeout."""
    reached = []

    async def nested() -> None:
        async with deadline(0.0):
            async with deadline(0.0):
                await asyncio.sleep(WAIT_SECONDS)
            reached.append("between")

    with pytest.raises(TimeoutError):
        await nested()
    assert (reached, counted()) == ([], 0)


async def test_only_its_own_cancellation_becomes_a_timeout() -> None:
    """An error of the block is what the block raises, also when the time is up meanwhile."""

    async def fail() -> None:
        async with deadline(0.0):
            try:
                await asyncio.sleep(WAIT_SECONDS)
            except asyncio.CancelledError:
                raise ValueError("its own") from None

    with pytest.raises(ValueError, match="its own"):
        await fail()
    assert counted() == 0
