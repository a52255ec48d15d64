import asyncio
from contextlib import ExitStack, aclosing, suppress
from dataclasses import asdict

import orjson
import pytest
from redis.asyncio import Redis

from core.logstream import LogEntry, LogLost, LogMissing, LogStream, LogUnavailable, LogWriter, StaleWriter
from core.pubsub import Hub, log_topic
from tests.realtime.conftest import settled_topic
from tests.realtime.valkey_server import ValkeyServer
from tests.waiting import WAIT_SECONDS, until

END = b"end"


def is_end(entry: LogEntry) -> bool:
    return entry.event == END


async def yes() -> bool:
    return True


async def no() -> bool:
    return False


async def follow(logs: LogStream, hub: Hub, after: int = 0, *, poll_interval: float = 5.0) -> list[tuple[int, bytes]]:
    entries = logs.follow(
        hub, "log", after, is_last=is_end, is_running=yes, poll_interval=poll_interval, retry_interval=0.05
    )
    return [(entry.sequence, entry.event) async for entry in entries]


async def holds(hub: Hub, **expected: int) -> bool:
    """Whether the hub's statistics have these values."""
    return expected.items() <= asdict(hub.statistics()).items()


async def test_sequences_start_at_one_without_gaps(logs: LogStream) -> None:
    """Events appended singly or in batches get the sequences 1, 2, 3 ..., and are read back."""
    writer = await logs.claim("log")
    assert await writer.append(b"a") == 1
    assert await writer.append_all([b"b", {"token": "c"}]) == 3
    assert await writer.append_all([]) == 3
    assert [(entry.sequence, entry.event) for entry in await logs.read("log")] == [
        (1, b"a"),
        (2, b"b"),
        (3, orjson.dumps({"token": "c"})),
    ]
    assert [entry.sequence for entry in await logs.read("log", 1, limit=1)] == [2]
    assert await logs.read("log", 3) == []
    assert await logs.last_sequence("log") == 3


async def test_logs_expire_an_hour_after_the_last_event(logs: LogStream, redis: Redis) -> None:
    """Every append sets the expiry of the log, and of its writer's epoch, to an hour."""
    writer = await logs.claim("log")
    await writer.append(b"a")
    await redis.expire(logs.key("log"), 5)
    await writer.append(b"b")
    for key in (logs.key("log"), logs.fence_key("log")):
        assert 3_590 < await redis.ttl(key) <= 3_600


async def test_each_follower_gets_every_event_once_in_order(logs: LogStream, hub: Hub) -> None:
    """Followers that start before, during and after the writing each get every event once, in order."""
    early = asyncio.create_task(follow(logs, hub))
    await asyncio.sleep(0.05)
    writer = await logs.claim("log")
    followers = [early]
    for number in range(1, 200):
        await writer.append(str(number).encode())
        if number == 100:
            followers.append(asyncio.create_task(follow(logs, hub)))
            followers.append(asyncio.create_task(follow(logs, hub, 90)))
    await writer.append(END)
    followers.append(asyncio.create_task(follow(logs, hub)))
    whole = [*((number, str(number).encode()) for number in range(1, 200)), (200, END)]
    first, second, resumed, late = await asyncio.wait_for(asyncio.gather(*followers), WAIT_SECONDS)
    assert first == second == late == whole
    assert resumed == whole[90:]


async def test_following_more_than_a_page(logs: LogStream, hub: Hub) -> None:
    """A log longer than one read is followed to its end without waiting."""
    writer = await logs.claim("log")
    await writer.append_all([b"x"] * 1_700)
    await writer.append(END)
    entries = await asyncio.wait_for(follow(logs, hub), WAIT_SECONDS)
    assert [sequence for sequence, _ in entries] == list(range(1, 1_702))


async def test_tokens_arrive_promptly(logs: LogStream, hub: Hub) -> None:
    """Followers get an appended event immediately, not at the next poll."""
    writer = await logs.claim("log")
    await writer.append(b"first")
    with ExitStack() as stack:
        await settled_topic(hub, log_topic("log"), stack)
        follower = asyncio.create_task(follow(logs, hub, poll_interval=3600))
        await asyncio.sleep(0.1)
        await writer.append(END)
        assert await asyncio.wait_for(follower, WAIT_SECONDS) == [(1, b"first"), (2, END)]


async def test_following_holds_no_connection(logs: LogStream, hub: Hub, redis: Redis) -> None:
    """A hundred waiting followers have no connection to the server, and leave nothing when they end."""
    await (await logs.claim("log")).append(b"a")
    followers = [asyncio.create_task(follow(logs, hub)) for _ in range(100)]
    await until(lambda: holds(hub, channels=1, watchers=100))
    await asyncio.sleep(0.2)  # until all of them have read, and wait
    waiting = [client for client in await redis.client_list() if "b" in client["flags"]]
    assert waiting == []
    for task in followers:
        task.cancel()
    await asyncio.gather(*followers, return_exceptions=True)
    await until(lambda: holds(hub, watchers=0, tasks=0, channels=0))


async def test_a_dropped_connection_neither_loses_nor_repeats_events(logs: LogStream, hub: Hub, redis: Redis) -> None:
    """Although all connections are dropped several times, the follower gets every event once."""
    follower = asyncio.create_task(follow(logs, hub))
    writer = await logs.claim("log")
    async with Redis.from_url(server_url(redis)) as admin:
        for number in range(60):
            await writer.append(str(number).encode())
            if number % 20 == 10:
                await admin.client_kill_filter(_type="pubsub")
                await admin.client_kill_filter(_type="normal", skipme=True)
    await writer.append(END)
    entries = await asyncio.wait_for(follower, WAIT_SECONDS)
    assert [sequence for sequence, _ in entries] == list(range(1, 62))


def server_url(redis: Redis) -> str:
    options = redis.connection_pool.connection_kwargs
    return f"redis://{options['host']}:{options['port']}/0"


async def test_a_log_lost_in_a_restart_is_missing(logs: LogStream, hub: Hub, server: ValkeyServer) -> None:
    """If the server restarts empty, followers raise `LogMissing`, and the caller reads the database."""
    writer = await logs.claim("log")
    await writer.append(b"a")
    follower = asyncio.create_task(follow(logs, hub))
    await asyncio.sleep(0.1)
    server.kill()
    await asyncio.sleep(0.2)
    assert not follower.done()
    await server.start()
    with pytest.raises(LogMissing):
        await asyncio.wait_for(follower, WAIT_SECONDS)


@pytest.mark.parametrize("fault", ["kill", "freeze"])
async def test_calls_fail_within_their_timeout(redis: Redis, server: ValkeyServer, fault: str) -> None:
    """Appending and reading raise `LogUnavailable` within the timeout if the server is killed or frozen."""
    short_timeout = LogStream(redis, within=0.5)
    writer = await claimed(short_timeout)
    getattr(server, fault)()
    async with asyncio.timeout(WAIT_SECONDS):
        with pytest.raises(LogUnavailable):
            await writer.append(b"a")
        with pytest.raises(LogUnavailable):
            await short_timeout.read("log")


async def claimed(short_timeout: LogStream) -> LogWriter:
    """A writer; the timeout is so short that a busy machine may need another attempt."""
    while True:
        with suppress(LogUnavailable):
            return await short_timeout.claim("log")


async def test_appends_are_idempotent(logs: LogStream, redis: Redis) -> None:
    """Repeating an append whose answer was lost neither writes twice nor raises `StaleWriter`."""
    writer = await logs.claim("log")
    await writer.append(b"a")
    writer.last_sequence = 0
    assert await writer.append_all([b"a", b"b"]) == 2
    assert [entry.event for entry in await logs.read("log")] == [b"a", b"b"]
    assert await redis.xlen(logs.key("log")) == 2


async def test_flushed_logs_are_missing(logs: LogStream, redis: Redis) -> None:
    """After FLUSHALL readers and the writer get errors; a writer that appends everything again restores the log."""
    with pytest.raises(LogMissing):
        await logs.read("never written")
    writer = await logs.claim("log")
    assert await logs.read("log") == []
    await writer.append_all([b"a", b"b"])
    await redis.flushall()
    with pytest.raises(LogMissing):
        await logs.read("log", 1)
    with pytest.raises(LogLost):
        await writer.append(b"c")
    with pytest.raises(LogMissing):
        await logs.read("log", 1)
    writer = await logs.claim("log")
    assert await writer.append_all([b"a", b"b", b"c"]) == 3
    assert [entry.sequence for entry in await logs.read("log", 1)] == [2, 3]


async def test_lost_entries_are_noticed(logs: LogStream, redis: Redis) -> None:
    """If the entries were evicted but not the writer's epoch, an append raises `LogLost` instead of leaving a gap."""
    writer = await logs.claim("log")
    await writer.append(b"a")
    await redis.delete(logs.key("log"))
    with pytest.raises(LogLost):
        await writer.append(b"b")


async def test_a_restored_older_copy_is_noticed(logs: LogStream, redis: Redis) -> None:
    """A log restored from an older copy accepts the entries missing in it first."""
    writer = await logs.claim("log")
    await writer.append_all([b"a", b"b"])
    older = await redis.dump(logs.key("log"))
    await writer.append_all([b"c", b"d"])
    await redis.restore(logs.key("log"), 60_000, older, replace=True)
    with pytest.raises(LogLost):
        await writer.append(b"e")
    writer = await logs.claim("log")
    assert writer.last_sequence == 2
    assert await writer.append_all([b"c", b"d", b"e"]) == 5
    assert [entry.event for entry in await logs.read("log")] == [b"a", b"b", b"c", b"d", b"e"]


async def test_a_log_restarted_after_a_flush_is_missing(logs: LogStream, redis: Redis) -> None:
    """A reader that is ahead of a restarted log gets `LogMissing`."""
    await (await logs.claim("log")).append_all([b"a"] * 9)
    await redis.flushall()
    await (await logs.claim("log")).append(b"b")
    with pytest.raises(LogMissing):
        await logs.read("log", 9)


async def test_trimmed_entries_are_missing(redis: Redis) -> None:
    """A log has a maximum length; reading trimmed entries raises `LogMissing`."""
    logs = LogStream(redis, max_length=100)
    writer = await logs.claim("log")
    for _ in range(10):
        await writer.append_all([b"a"] * 100)
    assert await redis.xlen(logs.key("log")) <= 200
    with pytest.raises(LogMissing):
        await logs.read("log")
    assert len(await logs.read("log", 990)) == 10


async def test_an_abandoned_log_is_missing(logs: LogStream, hub: Hub) -> None:
    """If the writer has stopped for good, followers get all entries, then `LogMissing`."""
    running, checks = True, 0

    async def is_running() -> bool:
        nonlocal checks
        checks += 1
        return running

    async def asked_twice() -> bool:
        return checks > 1

    writer = await logs.claim("log")
    await writer.append(b"a")
    entries = logs.follow(hub, "log", is_last=is_end, is_running=is_running, poll_interval=0.1)
    assert (await anext(entries)).event == b"a"
    pending = asyncio.ensure_future(anext(entries))
    await until(asked_twice)
    assert not pending.done()
    running = False
    with pytest.raises(LogMissing, match="without its last event"):
        await asyncio.wait_for(pending, WAIT_SECONDS)


async def test_a_last_event_just_before_the_end_is_delivered(logs: LogStream, hub: Hub) -> None:
    """A last event written just before the database reports the end is still delivered."""
    writer = await logs.claim("log")
    await writer.append(b"a")

    async def finish() -> bool:
        await writer.append(END)
        return False

    entries = logs.follow(hub, "log", is_last=is_end, is_running=finish, poll_interval=0.05)
    assert [entry.event async for entry in entries] == [b"a", END]


async def test_a_log_that_ends_while_redis_is_unavailable(logs: LogStream, hub: Hub, server: ValkeyServer) -> None:
    """Followers do not wait for Redis if the database reports the end."""
    await (await logs.claim("log")).append(b"a")
    entries = logs.follow(hub, "log", is_last=is_end, is_running=no, poll_interval=0.1, retry_interval=0.05)
    await anext(entries)
    server.kill()
    with pytest.raises(LogMissing):
        await asyncio.wait_for(anext(entries), WAIT_SECONDS)


async def test_a_log_that_nobody_will_write_is_missing_at_once(logs: LogStream, hub: Hub) -> None:
    """Following a log that does not exist and has no writer raises immediately."""
    entries = logs.follow(hub, "log", is_last=is_end, is_running=no)
    with pytest.raises(LogMissing):
        await asyncio.wait_for(anext(entries), WAIT_SECONDS)
    await until(lambda: holds(hub, watchers=0))


async def test_a_second_writer_takes_over(logs: LogStream, hub: Hub) -> None:
    """A new writer continues after the last event; the old one is refused, before and after the new one writes."""
    old = await logs.claim("log")
    await old.append_all([b"a", b"b"])
    new = await logs.claim("log")
    assert new.last_sequence == 2
    with pytest.raises(StaleWriter):
        await old.append(b"stale")
    assert await new.append(b"c") == 3
    with pytest.raises(StaleWriter):
        await old.append(b"stale")
    await new.append(END)
    assert await follow(logs, hub) == [(1, b"a"), (2, b"b"), (3, b"c"), (4, END)]


async def test_epochs_rise_across_a_flush(logs: LogStream, redis: Redis) -> None:
    """A writer from before a flush is refused after another writer has claimed the log."""
    old = await logs.claim("log")
    await redis.flushall()
    new = await logs.claim("log")
    await new.append(b"a")
    with pytest.raises(StaleWriter):
        await old.append(b"b")


async def test_a_clock_set_back_does_not_lower_the_epoch(logs: LogStream, redis: Redis) -> None:
    """A claim gets a higher epoch than the last one, even if the server's clock was set back in between."""
    last_epoch = 4_000_000_000_000_000
    await redis.set(logs.fence_key("log"), last_epoch)
    assert await (await logs.claim("log")).append(b"a") == 1
    with pytest.raises(StaleWriter):
        await logs.write("log", last_epoch, 2, [b"b"])


async def test_of_concurrent_claims_one_can_write(logs: LogStream) -> None:
    """Of many writers that claim at the same time exactly one can append."""
    writers = await asyncio.gather(*(logs.claim("log") for _ in range(20)))
    results = await asyncio.gather(*(writer.append(b"a") for writer in writers), return_exceptions=True)
    assert results.count(1) == 1
    assert sum(isinstance(result, StaleWriter) for result in results) == 19


async def test_leaving_early_releases_the_hub(logs: LogStream, hub: Hub) -> None:
    """A follower that is closed early holds nothing."""
    await (await logs.claim("log")).append_all([b"a"] * 10)
    async with aclosing(logs.follow(hub, "log", is_last=is_end, is_running=yes)) as entries:
        assert (await anext(entries)).sequence == 1
    await until(lambda: holds(hub, watchers=0, tasks=0))
