import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import ExitStack, aclosing
from dataclasses import astuple, dataclass, field
from itertools import pairwise

import pytest

from core.pubsub import Hub, HubClosed, Publisher, state_stream
from tests.clocks import SimulatedTime, simulate
from tests.realtime.conftest import settled_topic
from tests.realtime.valkey_server import ValkeyServer
from tests.waiting import WAIT_SECONDS, until


@dataclass
class Store:
    """A number in place of a row in the database; counts its reads."""

    value: int = 0
    final: int = 1_000_000
    reads: int = 0
    failing: bool = False
    read_seconds: float = 0.0
    read_times: list[float] = field(default_factory=list)
    clock: Callable[[], float] = float

    async def read(self) -> int:
        """The number at the start of the read."""
        self.reads += 1
        self.read_times.append(self.clock())
        value = self.value
        await asyncio.sleep(self.read_seconds)
        if self.failing:
            raise LookupError("the database is unavailable")
        return value

    def is_final(self, value: int) -> bool:
        """Whether the number is the last one."""
        return value >= self.final


async def has_read(store: Store, times: int = 1) -> bool:
    """Whether the store was read at least this often."""
    return store.reads >= times


def intervals(store: Store) -> list[float]:
    """Seconds from one read to the next: a value may be yielded any time after its read."""
    return [later - earlier for earlier, later in pairwise(store.read_times)]


async def change(publisher: Publisher, store: Store, value: int) -> None:
    store.value = value
    await publisher.publish("topic")


async def collect(values: AsyncIterator[int]) -> list[int]:
    return [value async for value in values]


async def released(hub: Hub) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while any(astuple(hub.statistics())):  # noqa: ASYNC110 - the hub has no event for it
            await asyncio.sleep(0.01)


@pytest.fixture
def simulated(monkeypatch: pytest.MonkeyPatch) -> SimulatedTime:
    """The time of `state_stream`: its delays between two reads pass without waiting."""
    return simulate(monkeypatch, "core.pubsub.states")


async def test_snapshot_then_changes_then_final_state(hub: Hub, publisher: Publisher) -> None:
    """The current state is first, then each change; after the final state the stream ends and releases everything."""
    store = Store(final=3)
    states = []
    async with asyncio.timeout(WAIT_SECONDS):
        async for value in state_stream(hub, "topic", store.read, is_final=store.is_final, min_interval=0.01):
            states.append(value)
            await change(publisher, store, value + 1)
    assert states == [0, 1, 2, 3]
    await released(hub)


async def test_a_final_snapshot_completes_at_once(hub: Hub) -> None:
    """A stream that starts after the end yields the final state only."""
    store = Store(value=3, final=3)
    values = await collect(state_stream(hub, "topic", store.read, is_final=store.is_final))
    assert values == [3]
    assert store.reads == 1


async def test_a_change_during_the_first_read_is_not_lost(hub: Hub, publisher: Publisher) -> None:
    """The stream subscribes before its first read, so a change during the read is read afterwards."""
    store = Store(final=1, read_seconds=0.1)
    stream = asyncio.create_task(
        collect(state_stream(hub, "topic", store.read, is_final=store.is_final, poll_interval=60))
    )
    await until(lambda: has_read(store))
    await change(publisher, store, 1)
    assert await asyncio.wait_for(stream, WAIT_SECONDS) == [0, 1]


async def test_changes_are_conflated_to_ten_a_second(
    hub: Hub, publisher: Publisher, simulated: SimulatedTime
) -> None:
    """A thousand changes within 0.1 s of a read lead to one more read after it, which yields the last state."""
    store = Store(final=999, clock=simulated.time)
    stream = asyncio.create_task(
        collect(state_stream(hub, "topic", store.read, is_final=store.is_final, poll_interval=60))
    )
    await until(lambda: has_read(store))
    simulated.resumed.clear()
    for value in range(1_000):
        await change(publisher, store, value)
    simulated.resumed.set()
    assert await asyncio.wait_for(stream, WAIT_SECONDS) == [0, 999]
    assert store.reads <= 3  # the subscription itself asks for one
    assert min(intervals(store)) > 0.099


async def test_the_last_change_in_an_interval_is_shown(
    hub: Hub, publisher: Publisher, simulated: SimulatedTime
) -> None:
    """A change within the minimum interval is yielded at its end, without another signal."""
    store = Store(final=2, clock=simulated.time)
    async with aclosing(
        state_stream(hub, "topic", store.read, is_final=store.is_final, min_interval=0.2, poll_interval=3600)
    ) as values:
        assert await anext(values) == 0
        await change(publisher, store, 1)
        assert await asyncio.wait_for(anext(values), WAIT_SECONDS) == 1
        await change(publisher, store, 2)
        assert await asyncio.wait_for(anext(values), WAIT_SECONDS) == 2
    assert min(intervals(store)) > 0.199


async def test_polling_finds_a_change_without_a_signal(hub: Hub) -> None:
    """A change whose signal was lost is found at the next poll."""
    store = Store(final=1)
    with ExitStack() as stack:
        await settled_topic(hub, "topic", stack)
        stream = state_stream(hub, "topic", store.read, is_final=store.is_final, poll_interval=0.2)
        async with aclosing(stream) as values:
            assert await anext(values) == 0
            store.value = 1
            assert await asyncio.wait_for(anext(values), WAIT_SECONDS) == 1


async def test_a_change_while_redis_is_unavailable(hub: Hub, server: ValkeyServer) -> None:
    """A change that could not be published is read after the reconnect, long before the next poll."""
    store = Store(final=1)
    async with aclosing(state_stream(hub, "topic", store.read, is_final=store.is_final, poll_interval=60)) as values:
        assert await anext(values) == 0
        server.kill()
        store.value = 1
        await server.start()
        assert await asyncio.wait_for(anext(values), WAIT_SECONDS) == 1


async def test_equal_states_are_not_repeated(hub: Hub, publisher: Publisher) -> None:
    """A signal without a change yields nothing."""
    store = Store(final=2)
    stream = asyncio.create_task(
        collect(state_stream(hub, "topic", store.read, is_final=store.is_final, min_interval=0.01))
    )
    await until(lambda: has_read(store))
    for value in (0, 0, 1, 1, 2):
        reads = store.reads
        await change(publisher, store, value)
        await until(lambda reads=reads: has_read(store, reads + 1))  # type: ignore[misc]
    assert await asyncio.wait_for(stream, WAIT_SECONDS) == [0, 1, 2]
    assert store.reads >= 6


async def test_closing_the_hub_is_an_error(hub: Hub) -> None:
    """At shutdown a stream, shared or not, raises `HubClosed`, so that it does not look complete."""
    store = Store()
    streams = [
        asyncio.create_task(collect(state_stream(hub, "topic", store.read, is_final=store.is_final))),
        asyncio.create_task(collect(hub.shared("key", "topic", store.read, is_final=store.is_final))),
    ]
    await until(lambda: has_read(store, 2))
    await hub.aclose()
    for stream in streams:
        with pytest.raises(HubClosed):
            await asyncio.wait_for(stream, WAIT_SECONDS)


async def test_a_hundred_followers_share_each_read(hub: Hub, publisher: Publisher, simulated: SimulatedTime) -> None:
    """Followers with the same key share every read, and all get the final state; another key has its own reads."""
    store, other = Store(final=20, clock=simulated.time), Store(final=0)
    watchers = [
        asyncio.create_task(
            collect(hub.shared("key", "topic", store.read, is_final=store.is_final, poll_interval=60))
        )
        for _ in range(100)
    ]
    assert len(await collect(hub.shared("other rights", "topic", other.read, is_final=other.is_final))) == 1
    for value in range(1, 21):
        await change(publisher, store, value)
        await asyncio.sleep(0.02)
    states_of_watchers = await asyncio.wait_for(asyncio.gather(*watchers), WAIT_SECONDS)
    states = {tuple(values) for values in states_of_watchers}
    assert len(states) == 1
    assert states.pop()[-1] == 20
    assert min(intervals(store)) > 0.099
    assert other.reads == 1
    await released(hub)


async def test_a_slow_follower_skips_to_the_newest(hub: Hub, publisher: Publisher) -> None:
    """A slow subscriber misses states in between; it neither delays the others nor misses the last state."""
    store = Store(final=10)
    all_changes_made = asyncio.Event()
    received_values: list[int] = []

    def values() -> AsyncIterator[int]:
        return hub.shared("key", "topic", store.read, is_final=store.is_final, min_interval=0.01)

    async def follow_slowly() -> list[int]:
        states = []
        async for value in values():
            states.append(value)
            await all_changes_made.wait()
        return states

    async def follow_quickly() -> None:
        async for value in values():
            received_values.append(value)  # noqa: PERF401 - read meanwhile

    slow, quick = asyncio.create_task(follow_slowly()), asyncio.create_task(follow_quickly())
    for value in range(11):
        await change(publisher, store, value)
        await until(lambda value=value: is_shown(received_values, value))  # type: ignore[misc]
    await asyncio.wait_for(quick, WAIT_SECONDS)
    assert received_values == list(range(11))
    all_changes_made.set()
    assert await asyncio.wait_for(slow, WAIT_SECONDS) == [0, 10]


async def is_shown(values: list[int], value: int) -> bool:
    """Whether the quick subscriber has got the value."""
    return value in values


async def test_the_shared_reader_stops_with_its_last_follower(hub: Hub) -> None:
    """The reader runs until its last subscriber leaves; the next subscriber starts another."""
    store = Store()

    def values() -> AsyncIterator[int]:
        return hub.shared("key", "topic", store.read, is_final=store.is_final, min_interval=0.01, poll_interval=0.02)

    first, second = asyncio.create_task(collect(values())), asyncio.create_task(collect(values()))
    await until(lambda: has_read(store))
    first.cancel()
    await asyncio.wait([first])
    assert hub.statistics().shared == 1
    second.cancel()
    await released(hub)
    await until(no_shared_reader)
    async with aclosing(hub.shared("key", "topic", store.read, is_final=store.is_final)) as fresh:
        assert await anext(fresh) == 0
    await released(hub)


async def no_shared_reader() -> bool:
    """Whether no task reads for subscribers."""
    return all(task.get_name() != "pubsub-shared-state" for task in asyncio.all_tasks())


async def test_a_late_follower_does_not_end_a_newer_reader(hub: Hub) -> None:
    """While a subscriber of an ended reader is still open, new subscribers share the next reader."""
    store = Store(final=0)

    def values() -> AsyncGenerator[int, None]:
        return hub.shared("key", "topic", store.read, is_final=store.is_final)

    async def has_ended() -> bool:
        return not hub.statistics().shared

    async with aclosing(values()) as late:
        await anext(late)
        await until(has_ended)
        store.final = 1
        async with aclosing(values()) as newer:
            await anext(newer)
            await late.aclose()
            async with aclosing(values()) as newest:
                await anext(newest)
                assert (hub.statistics().shared, store.reads) == (1, 2)


async def test_errors_reach_every_follower_of_the_key(hub: Hub, publisher: Publisher) -> None:
    """A failed read ends all streams of its key with the error; a later subscriber starts a new reader."""
    store = Store(final=5)
    watchers = [
        asyncio.create_task(collect(hub.shared("key", "topic", store.read, is_final=store.is_final)))
        for _ in range(10)
    ]
    await until(lambda: has_read(store))
    store.failing = True
    await change(publisher, store, 1)
    async with asyncio.timeout(WAIT_SECONDS):
        results = await asyncio.gather(*watchers, return_exceptions=True)
    assert [type(result) for result in results] == [LookupError] * 10
    await released(hub)
    store.failing, store.value = False, 5
    assert len(await collect(hub.shared("key", "topic", store.read, is_final=store.is_final))) == 1


async def test_five_hundred_streams_leak_nothing(hub: Hub) -> None:
    """Shared and separate streams, cancelled in every phase, leave nothing in the hub."""
    store = Store(read_seconds=0.005)
    before = len(asyncio.all_tasks())
    streams = []
    for number in range(500):
        topic = f"topic:{number % 40}"
        stream = (
            hub.shared(number % 7, topic, store.read, is_final=store.is_final, min_interval=0.01)
            if number % 2
            else state_stream(hub, topic, store.read, is_final=store.is_final, min_interval=0.01)
        )
        streams.append(asyncio.create_task(collect(stream)))
        if number % 5 == 0:
            await asyncio.sleep(0)
            streams[number // 2].cancel()
    await until(lambda: has_a_hundred_watchers(hub))
    for task in streams:
        task.cancel()
    await asyncio.gather(*streams, return_exceptions=True)
    await released(hub)
    assert len(asyncio.all_tasks()) <= before + 3  # the connection's own three, if it was not connected before


async def has_a_hundred_watchers(hub: Hub) -> bool:
    """Whether there are more than a hundred watchers."""
    return hub.statistics().watchers > 100
