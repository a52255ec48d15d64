import asyncio
from contextlib import suppress
from dataclasses import astuple
from uuid import UUID

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs
from structlog.typing import EventDict

from core.ids import new_id
from core.pubsub import (
    Hub,
    HubClosed,
    Publisher,
    PublishFailed,
    RedisBackend,
    Signal,
    Watcher,
    campaign_topic,
    log_topic,
    message_topic,
    session_topic,
)
from core.pubsub.backend import TopicEvent
from tests.realtime.conftest import QUICK_TIMING, SLOW_TIMING
from tests.realtime.valkey_server import ValkeyServer
from tests.supervision.cancellations import cancel_without_request
from tests.waiting import WAIT_SECONDS, until

CHANGED = Signal("changed", b"1")
GAP = Signal("gap")


async def expect(watcher: Watcher, expected: Signal, *, within: float = WAIT_SECONDS) -> None:
    """Read signals until the expected one arrives."""
    async with asyncio.timeout(within):
        while await watcher.next() != expected:
            pass


async def is_disconnected(hub: Hub) -> bool:
    """Whether the hub has noticed that its connection is lost."""
    return not hub.connected


async def connected(hub: Hub) -> None:
    """Wait until the hub is connected."""
    with hub.watch("anything") as watcher:
        await expect(watcher, GAP)


async def own_channels(redis: Redis) -> list[bytes]:
    return [name for name in await redis.pubsub_channels() if b"heartbeat" not in name]


async def settle(hub: Hub, redis: Redis) -> None:
    """Wait until neither the hub nor the server holds anything for a watcher."""
    async with asyncio.timeout(WAIT_SECONDS):
        while any(astuple(hub.statistics())) or await own_channels(redis):  # noqa: ASYNC110 - the server is polled
            await asyncio.sleep(0.01)


async def test_two_first_watchers_both_get_signals(hub: Hub, publisher: Publisher) -> None:
    """Two watchers that subscribe to a new topic at the same time both get a later signal."""
    both_subscribed = asyncio.Barrier(3)

    async def watch() -> None:
        with hub.watch("topic") as watcher:
            await expect(watcher, GAP)
            await both_subscribed.wait()
            await expect(watcher, CHANGED)

    watchers = [asyncio.create_task(watch()) for _ in range(2)]
    await both_subscribed.wait()
    await publisher.publish("topic", b"1")
    await asyncio.gather(*watchers)


async def test_a_confirmed_subscription_is_a_gap(hub: Hub) -> None:
    """A watcher gets a gap when its subscription is confirmed, because signals before that may be lost."""
    with hub.watch("topic") as watcher:
        assert await watcher.next(within=WAIT_SECONDS) == GAP


async def test_watchers_of_a_topic_share_a_subscription(hub: Hub, redis: Redis, publisher: Publisher) -> None:
    """Two watchers of a topic have one subscription on the server."""
    with hub.watch("topic") as first:
        await expect(first, GAP)
        with hub.watch("topic") as second:
            await publisher.publish("topic", b"1")
            await asyncio.gather(expect(first, CHANGED), expect(second, CHANGED))
            assert await redis.pubsub_numsub("nudge:topic") == [(b"nudge:topic", 1)]
            assert hub.statistics().channels == 1


async def test_signals_cross_processes(hub: Hub, server: ValkeyServer) -> None:
    """Signals of a publisher without a hub, such as a worker's, reach the watchers of a hub."""
    publisher = Publisher(server.url, within=WAIT_SECONDS)
    with hub.watch("topic") as watcher:
        await expect(watcher, GAP)
        await publisher.publish_all([("other", b"0"), ("topic", b"1")])
        assert await watcher.next(within=WAIT_SECONDS) == CHANGED
    await publisher.aclose()


async def test_reconnects_after_kill(hub: Hub, server: ValkeyServer, publisher: Publisher) -> None:
    """After a restart of the server every topic gets a gap, and then signals as before."""
    with hub.watch("a") as a, hub.watch("b") as b:
        await asyncio.gather(expect(a, GAP), expect(b, GAP))
        up_and_down = []
        for _ in range(2):
            up_and_down.append(hub.connected)
            server.kill()
            await until(lambda: is_disconnected(hub))
            up_and_down.append(hub.connected)
            await server.start()
            await asyncio.gather(expect(a, GAP), expect(b, GAP))
            await publisher.publish("a", b"1")
            await expect(a, CHANGED)
        assert up_and_down == [True, False, True, False]


async def test_starts_without_a_server(server: ValkeyServer) -> None:
    """A hub that starts while Redis is unavailable works as soon as it is available."""
    server.kill()
    async with Hub(RedisBackend(server.url, timing=SLOW_TIMING)) as hub:
        with hub.watch("topic") as watcher:
            assert await watcher.next(within=0.2) is None
            await server.start()
            await expect(watcher, GAP)


async def test_a_flush_does_not_affect_signals(hub: Hub, redis: Redis, publisher: Publisher) -> None:
    """FLUSHALL removes keys, not subscriptions: the next signal arrives."""
    with hub.watch("topic") as watcher:
        await expect(watcher, GAP)
        await redis.flushall()
        await publisher.publish("topic", b"1")
        assert await watcher.next(within=WAIT_SECONDS) == CHANGED


async def test_the_heartbeat_detects_a_frozen_server(server: ValkeyServer, publisher: Publisher) -> None:
    """A server that keeps the socket open but sends nothing is detected; topics get a gap when it resumes."""
    async with Hub(RedisBackend(server.url, timing=QUICK_TIMING)) as hub:
        with hub.watch("topic") as watcher:
            await expect(watcher, GAP)
            server.freeze()
            await until(lambda: is_disconnected(hub))
            watcher.drain()
            server.thaw()
            await expect(watcher, GAP)
            await until(lambda: signals_arrive(watcher, publisher))


async def signals_arrive(watcher: Watcher, publisher: Publisher) -> bool:
    """Whether a signal arrives: on a busy machine the hub may have disconnected once more."""
    await publisher.publish("topic", b"1")
    return await watcher.next(within=1) == CHANGED


async def test_a_dropped_connection_is_reestablished(hub: Hub, redis: Redis) -> None:
    """After the server drops the connection, all channels are subscribed again."""
    with hub.watch("a") as a, hub.watch("b") as b:
        await asyncio.gather(expect(a, GAP), expect(b, GAP))
        assert await redis.client_kill_filter(_type="pubsub") == 1
        await asyncio.gather(expect(a, GAP), expect(b, GAP))


@pytest.mark.parametrize("fault", ["kill", "freeze"])
async def test_publish_fails_within_its_timeout(server: ValkeyServer, fault: str) -> None:
    """Publishing to a killed or frozen server raises `PublishFailed` within the timeout."""
    publisher = Publisher(server.url, within=QUICK_TIMING.publish_timeout)
    await until(lambda: is_published(publisher))
    getattr(server, fault)()
    async with asyncio.timeout(WAIT_SECONDS):
        with pytest.raises(PublishFailed, match="topic"):
            await publisher.publish("topic", b"1")
    await publisher.aclose()


async def is_published(publisher: Publisher) -> bool:
    """Whether a signal could be published in time."""
    try:
        await publisher.publish("topic", b"1")
    except PublishFailed:
        return False
    return True


async def test_publish_survives_a_restart(server: ValkeyServer, publisher: Publisher) -> None:
    """Connections to the old server do not make the first publish to the new one fail."""
    await publisher.publish("topic", b"1")
    server.kill()
    await server.start()
    await publisher.publish("topic", b"1")


async def test_a_slow_watcher_holds_one_signal(hub: Hub, server: ValkeyServer) -> None:
    """Of ten thousand signals a watcher that does not read holds one: the newest."""
    publisher = Publisher(server.url, within=WAIT_SECONDS)
    with hub.watch("topic") as slow, hub.watch("done") as other:
        await asyncio.gather(expect(slow, GAP), expect(other, GAP))
        await publisher.publish_all(("topic", str(number).encode()) for number in range(10_000))
        await publisher.publish("done", b"1")
        await expect(other, CHANGED)
        assert await slow.next(within=WAIT_SECONDS) == Signal("changed", b"9999")
        assert await slow.next(within=0.05) is None
        assert hub.statistics().pending == 0
    await publisher.aclose()


async def test_the_backend_holds_one_message_a_topic(server: ValkeyServer) -> None:
    """At most one unread message is held for each topic, a gap is not replaced, and unsubscribing drops both."""
    backend = RedisBackend(server.url, timing=SLOW_TIMING)
    await backend.connect()
    for topic in ("a", "b"):
        await backend.subscribe(topic)
    async with asyncio.timeout(WAIT_SECONDS):
        while backend.pending < 2:  # noqa: ASYNC110 - fetching would take a message out
            await asyncio.sleep(0.01)
    for _ in range(100):
        await backend.publish("a", b"1")
    await asyncio.sleep(0.05)
    assert backend.pending == 2
    await backend.unsubscribe("b")
    assert backend.pending == 1
    event = await backend.next_published()
    assert isinstance(event, TopicEvent)
    assert (event.channel, event.payload) == ("a", None)
    await backend.disconnect()


async def test_publishing_retries_on_a_stale_connection(hub: Hub, server: ValkeyServer) -> None:
    """If a pooled connection is lost during a publish, as behind a firewall, the signal is sent on another."""
    refusals = 0

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal refusals
        if not refusals:
            refusals += 1
            await reader.read(1)
            writer.close()
            return
        upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", server.port)
        await asyncio.gather(pipe(reader, upstream_writer), pipe(upstream_reader, writer))

    relaying = await asyncio.start_server(relay, "127.0.0.1", 0)
    address = f"redis://127.0.0.1:{relaying.sockets[0].getsockname()[1]}/0"
    publisher = Publisher(address, within=WAIT_SECONDS)
    with hub.watch("topic") as watcher:
        await expect(watcher, GAP)
        await publisher.publish("topic", b"1")
        await expect(watcher, CHANGED)
    assert refusals == 1
    await publisher.aclose()
    relaying.close()
    await relaying.wait_closed()


async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(4_096):
        writer.write(data)
    writer.close()


async def test_a_gap_is_not_replaced() -> None:
    """A change after an unread gap does not replace the gap."""
    watcher = Watcher()
    watcher.offer(GAP)
    watcher.offer(CHANGED)
    assert await watcher.next() == GAP


async def test_five_hundred_watchers_leak_nothing(hub: Hub, redis: Redis) -> None:
    """Watchers that end, half of them by cancellation, leave no task, queue or channel, here or on the server."""
    await connected(hub)
    await settle(hub, redis)
    before = len(asyncio.all_tasks())

    async def watch(number: int) -> None:
        with hub.watch(f"topic:{number % 50}") as watcher:
            await watcher.next()
            if number % 2:
                await watcher.next()

    watchers = [asyncio.create_task(watch(number)) for number in range(500)]
    await asyncio.wait(watchers[::2])
    assert hub.statistics().watchers == 250
    await until(lambda: has_channels(redis, 25))
    for task in watchers:
        task.cancel()
    await asyncio.gather(*watchers, return_exceptions=True)
    await settle(hub, redis)
    assert len(asyncio.all_tasks()) == before


async def has_channels(redis: Redis, channels: int) -> bool:
    """Whether the server has this number of subscriptions for watchers."""
    return len(await own_channels(redis)) == channels


async def test_leaving_and_watching_again_at_once(hub: Hub, redis: Redis, publisher: Publisher) -> None:
    """A topic that is left and watched again at the same moment works."""
    for _ in range(20):
        with hub.watch("topic") as watcher:
            await asyncio.sleep(0)
        with hub.watch("topic") as watcher:
            pass
    with hub.watch("topic") as watcher:
        await asyncio.sleep(0.1)
        await publisher.publish("topic", b"1")
        async with asyncio.timeout(WAIT_SECONDS):
            assert await watcher.next() is not None
        assert await own_channels(redis) == [b"nudge:topic"]


async def test_closing_ends_watchers_and_channels(server: ValkeyServer, redis: Redis) -> None:
    """Closing the hub ends waiting watchers with `HubClosed`, refuses new ones, and leaves no task."""
    before = asyncio.all_tasks()
    hub = Hub(RedisBackend(server.url, timing=SLOW_TIMING))
    async with hub:
        with hub.watch("topic") as watcher:
            await expect(watcher, GAP)
            waiting = asyncio.create_task(watcher.next())
            await asyncio.sleep(0)
            await hub.aclose()
            with pytest.raises(HubClosed):
                await waiting
        with pytest.raises(HubClosed), hub.watch("topic"):
            pass
    assert asyncio.all_tasks() == before
    await until(lambda: has_channels(redis, 0))


def test_topics_contain_the_organization() -> None:
    """Topics contain the tenant, so that signals of one organization never reach watchers of another."""
    one, two, three = (UUID(int=number) for number in (1, 2, 3))
    assert campaign_topic(one, two) != campaign_topic(three, two)
    assert message_topic(one, two) != message_topic(three, two)
    names = {campaign_topic(one, two), message_topic(one, two), session_topic(two), log_topic(str(two))}
    assert len(names) == 4
    assert len({session_topic(new_id()) for _ in range(2)}) == 2


async def test_a_cancelled_close_completes(server: ValkeyServer) -> None:
    """A hub whose `aclose` is cancelled while its forwarders end still closes its connection."""
    before = asyncio.all_tasks()
    hub = await Hub(RedisBackend(server.url, timing=SLOW_TIMING)).__aenter__()
    with suppress(HubClosed), hub.watch("topic") as watcher:
        await expect(watcher, GAP)
        closing = asyncio.create_task(hub.aclose())
        await asyncio.sleep(0)
        closing.cancel()
        await asyncio.wait([closing])
        assert closing.cancelled()
        assert asyncio.all_tasks() - before == set()


async def test_a_topic_delivers_again_after_a_cancellation(server: ValkeyServer, publisher: Publisher) -> None:
    """A forwarder that is cancelled without a request is restarted; its watchers get a gap."""
    async with Hub(RedisBackend(server.url, timing=SLOW_TIMING)) as hub:
        with hub.watch("topic") as watcher, hub.watch("other") as other:
            await asyncio.gather(expect(watcher, GAP), expect(other, GAP))
            for _ in range(3):
                (run,) = [task for task in asyncio.all_tasks() if task.get_name() == "forwarder topic-run"]
                cancel_without_request(run)
                await expect(watcher, GAP)
                await until(lambda: signals_arrive(watcher, publisher))
            assert await other.next(within=0.05) is None


async def test_a_hub_reconnects_to_a_resumed_server(server: ValkeyServer, publisher: Publisher) -> None:
    """After many failed attempts to connect to a frozen server, the hub reconnects when it resumes."""
    backend = RedisBackend(server.url, timing=QUICK_TIMING)
    async with Hub(backend) as hub:
        with hub.watch("topic") as watcher:
            await expect(watcher, GAP)
            with capture_logs() as logs:
                server.freeze()
                await until(lambda: has_failed(logs, 6))
                server.thaw()
                await until(lambda: signals_arrive(watcher, publisher))
        assert backend.supervisors.ended == ()


async def has_failed(logs: list[EventDict], times: int) -> bool:
    """Whether the connection has failed this often."""
    return len([entry for entry in logs if entry.get("task") == "pubsub-connection"]) >= times
