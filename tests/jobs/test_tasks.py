"""Background tasks by key: one at a time, repeated if started meanwhile, limited by kind."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from structlog.testing import capture_logs

from jobs.tasks import KeyedTasks, TaskKind
from tests.waiting import WAIT_SECONDS

ONE = TaskKind("one at a time", 1)
Work = Callable[[], Coroutine[Any, Any, None]]


class Bench:
    """Tasks that wait until they are released, and the order in which they started."""

    def __init__(self) -> None:
        self.tasks = KeyedTasks()
        self.released = asyncio.Event()
        self.started: list[str] = []

    def work(self, name: str) -> Work:
        """Work that records its name when it starts."""

        async def run() -> None:
            self.started.append(name)
            await self.released.wait()

        return run

    async def idle(self) -> None:
        """Release everything, and wait until nothing runs."""
        self.released.set()
        async with asyncio.timeout(WAIT_SECONDS):
            while self.tasks.tasks:
                await asyncio.wait(list(self.tasks.tasks.values()))
                await asyncio.sleep(0)


async def test_a_key_that_is_started_while_it_runs_is_run_once_more() -> None:
    """However often it is started: the repetition covers all. Other keys run concurrently."""
    bench = Bench()
    for name in ("a", "b"):
        bench.tasks.start(name, bench.work(name))
    await asyncio.sleep(0)
    for number in range(3):
        bench.tasks.start("a", bench.work(f"a again {number}"))
    assert bench.started == ["a", "b"]
    await bench.idle()
    assert bench.started == ["a", "b", "a again 2"]


async def test_a_key_that_waits_for_its_slot_is_run_once() -> None:
    """It has not read its rows yet, so it covers later starts as well, also if it ran before."""
    bench = Bench()
    bench.tasks.start("b", bench.work("b before"), kind=ONE)
    await bench.idle()
    bench.released.clear()
    bench.tasks.start("a", bench.work("a"), kind=ONE)
    bench.tasks.start("b", bench.work("b"), kind=ONE)
    await asyncio.sleep(0)
    bench.tasks.start("b", bench.work("b again"), kind=ONE)
    await bench.idle()
    assert bench.started == ["b before", "a", "b"]


async def test_a_kind_without_free_slots_does_not_delay_others() -> None:
    """So many of a kind run concurrently; another kind has its own slots."""
    bench = Bench()
    for number in range(5):
        bench.tasks.start(f"a {number}", bench.work(f"a {number}"), kind=TaskKind("two at a time", 2))
    bench.tasks.start("b", bench.work("b"), kind=ONE)
    await asyncio.sleep(0)
    assert bench.started == ["a 0", "a 1", "b"]
    await bench.idle()
    assert sorted(bench.started) == ["a 0", "a 1", "a 2", "a 3", "a 4", "b"]


async def test_slots_of_a_kind_are_round_robin_over_organizations() -> None:
    """An organization with many tasks gets one slot before another's first; each has its tasks in order."""
    bench = Bench()
    for name in ("a 0", "a 1", "a 2", "b 0", "c 0", "b 1"):
        bench.tasks.start(name, bench.work(name), kind=ONE, ids={"organization_id": name[0]})
    await asyncio.sleep(0)
    await bench.idle()
    assert bench.started == ["a 0", "a 1", "b 0", "c 0", "a 2", "b 1"]


async def test_the_slot_of_a_cancelled_task_goes_to_the_next() -> None:
    """Whether it is cancelled while it waits or when it gets its slot, no slot is lost."""
    bench = Bench()

    async def cancel_next() -> None:
        await bench.released.wait()
        asyncio.get_running_loop().call_soon(bench.tasks.tasks["c"].cancel)

    bench.tasks.start("a", cancel_next, kind=ONE, ids={"organization_id": "a"})
    for name in ("b", "c", "d"):
        bench.tasks.start(name, bench.work(name), kind=ONE, ids={"organization_id": name})
    await asyncio.sleep(0)
    bench.tasks.tasks["b"].cancel()
    await bench.idle()
    bench.tasks.start("e", bench.work("e"), kind=ONE)
    await bench.idle()
    assert bench.started == ["d", "e"]


async def test_a_task_that_fails_is_logged_with_its_ids_and_may_run_again() -> None:
    """Its slot and its key are free again, after any error."""
    bench = Bench()

    async def fail() -> None:
        raise RuntimeError("no")

    with capture_logs() as logs:
        for _ in range(2):
            bench.tasks.start("a", fail, kind=ONE, ids={"campaign_id": "1"})
            await bench.idle()
    assert [(each["task"], each["campaign_id"]) for each in logs] == [("one at a time", "1")] * 2
    bench.tasks.start("a", bench.work("a"), kind=ONE)
    await bench.idle()
    assert bench.started == ["a"]
