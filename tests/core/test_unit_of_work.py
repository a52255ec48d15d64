"""Jobs and events are sent after COMMIT, never after a rollback: checked with a real consumer and subscriber."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest
from redis.asyncio import Redis
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from structlog.testing import capture_logs

from core.ids import new_id
from core.pubsub import Publisher
from core.queue import QUEUE_NAME, Queue
from core.unit_of_work import Work
from runtime import Runtime
from tests import factories
from tests.conftest import Servers
from tests.core.observing import BLOCKED, ORDINARY, REFUSED, Done, Observer, observing
from tests.realtime.valkey_server import ValkeyServer
from tests.waiting import WAIT_SECONDS

TOPIC, OTHER_TOPIC = "campaign:1:1", "campaign:1:2"
NOWHERE = "redis://127.0.0.1:9/0"


class BlockFailed(Exception):
    """An error in the block of a unit of work."""


@pytest.fixture
async def valkey(tmp_path: Path) -> AsyncIterator[ValkeyServer]:
    server = ValkeyServer(tmp_path)
    await server.start()
    yield server
    server.kill()


@pytest.fixture
async def observer(servers: Servers, fresh_runtime: Runtime, valkey: ValkeyServer) -> AsyncIterator[Observer]:
    actor = await factories.organization(fresh_runtime)
    url = fresh_runtime.settings.database.url
    assert url is not None
    admin_url = servers.database_url(servers.postgres.admin_url, str(make_url(url.get_secret_value()).database))
    async with observing(fresh_runtime, actor, admin_url, valkey.url) as redis_observer:
        yield redis_observer


async def add(observer: Observer, contact_id: UUID, name: str = ORDINARY, *, raises: bool = False) -> None:
    """A unit of work that adds a contact, enqueues a job about it and publishes an event."""
    async with observer.work.begin(observer.actor) as uow:
        uow.enqueue(observer.greet(contact_id))
        uow.publish(TOPIC, contact_id.bytes)
        await observer.add_contact(uow, contact_id, name)
        if raises:
            raise BlockFailed


async def nothing_was_sent(observer: Observer) -> None:
    """Check that neither a job nor an event was sent."""
    assert await observer.consume() == []
    assert await observer.received() == []


async def test_jobs_and_events_are_sent_after_commit(observer: Observer) -> None:
    """During COMMIT nothing is sent; when a job or an event arrives, its row is visible."""
    await observer.subscribe(TOPIC)
    contact_id = new_id()
    async with observer.commits_blocked():
        task = asyncio.create_task(add(observer, contact_id, BLOCKED))
        await observer.commit_started(task)
        await nothing_was_sent(observer)
        assert not await observer.sees(contact_id)
    await task
    assert await observer.sees(contact_id)
    assert await observer.consume() == [Done(contact_id=contact_id, row_seen=True)]
    assert await observer.received() == [(TOPIC, contact_id.bytes)]


async def test_nothing_is_sent_within_the_block(observer: Observer) -> None:
    """Enqueued jobs and published events wait for the end of the unit of work."""
    await observer.subscribe(TOPIC)
    async with observer.work.begin(observer.actor) as uow:
        uow.enqueue(observer.greet(await observer.add_contact(uow, new_id())))
        uow.publish(TOPIC)
        await nothing_was_sent(observer)


async def test_an_exception_in_the_block_drops_jobs_and_events(observer: Observer) -> None:
    """The exception reaches the caller, the row is rolled back, and nothing is sent."""
    await observer.subscribe(TOPIC)
    contact_id = new_id()
    with pytest.raises(BlockFailed):
        await add(observer, contact_id, raises=True)
    assert not await observer.sees(contact_id)
    await nothing_was_sent(observer)


async def test_a_failed_commit_drops_jobs_and_events(observer: Observer) -> None:
    """A COMMIT that the server refuses raises, and nothing is sent."""
    await observer.subscribe(TOPIC)
    contact_id = new_id()
    with pytest.raises(DBAPIError, match="this COMMIT fails"):
        await add(observer, contact_id, REFUSED)
    assert not await observer.sees(contact_id)
    await nothing_was_sent(observer)


async def test_a_cancelled_block_drops_jobs_and_events(observer: Observer) -> None:
    """A task cancelled within its unit of work rolls back, and nothing is sent."""
    await observer.subscribe(TOPIC)
    contact_id, reached = new_id(), asyncio.Event()

    async def never_ends() -> None:
        async with observer.work.begin(observer.actor) as uow:
            uow.enqueue(observer.greet(await observer.add_contact(uow, contact_id)))
            uow.publish(TOPIC)
            reached.set()
            await asyncio.Event().wait()

    await cancel_when(asyncio.create_task(never_ends()), reached.wait())
    assert not await observer.sees(contact_id)
    await nothing_was_sent(observer)


async def test_a_cancelled_commit_drops_jobs_and_events(observer: Observer) -> None:
    """A task cancelled while the server commits rolls back, and nothing is sent."""
    await observer.subscribe(TOPIC)
    contact_id = new_id()
    async with observer.commits_blocked():
        task = asyncio.create_task(add(observer, contact_id, BLOCKED))
        await cancel_when(task, observer.commit_started(task))
    assert not await observer.sees(contact_id)
    await nothing_was_sent(observer)


async def cancel_when(task: "asyncio.Task[None]", reached: Awaitable[object]) -> None:
    """Cancel a task when it has reached a point, and wait until it has ended."""
    async with asyncio.timeout(WAIT_SECONDS):
        await reached
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_the_same_job_is_enqueued_once(observer: Observer) -> None:
    """A job enqueued twice in a unit of work is enqueued once; different jobs are all enqueued."""
    async with observer.work.begin(observer.actor) as uow:
        ids = [await observer.add_contact(uow, new_id()) for _ in range(2)]
        for contact_id in [*ids, *ids]:
            uow.enqueue(observer.greet(contact_id))
    assert {job.contact_id for job in await observer.consume()} == set(ids)
    async with observer.work.begin(observer.actor) as uow:
        for _ in range(2):
            uow.enqueue(observer.greet(ids[0]))
    assert await observer.consume() == [Done(contact_id=ids[0], row_seen=True)]


async def test_the_newest_payload_of_a_topic_is_published(observer: Observer) -> None:
    """Each topic gets one event, with the newest payload."""
    await observer.subscribe(TOPIC, OTHER_TOPIC)
    async with observer.work.begin(observer.actor) as uow:
        uow.publish(TOPIC, b"old")
        uow.publish(OTHER_TOPIC)
        uow.publish(TOPIC, b"new")
    assert sorted(await observer.received()) == [(TOPIC, b"new"), (OTHER_TOPIC, b"")]


async def test_jobs_are_sent_before_events(observer: Observer, valkey: ValkeyServer) -> None:
    """When an event arrives, the jobs of its unit of work are enqueued, as the server's MONITOR shows."""
    async with Redis.from_url(valkey.url) as redis, redis.monitor() as monitor, asyncio.timeout(WAIT_SECONDS):
        await add(observer, new_id())
        commands = [(await monitor.next_command())["command"]]
        while not commands[-1].startswith("PUBLISH"):
            commands.append((await monitor.next_command())["command"])
    assert [command for command in commands if command.startswith(f"ZADD {QUEUE_NAME} ")] != []


async def test_a_change_is_committed_without_redis(observer: Observer, valkey: ValkeyServer) -> None:
    """Without Redis the caller gets no error, the rows are committed, and warnings name unsent jobs and signals."""
    valkey.kill()
    contact_ids = [new_id(), new_id()]
    with capture_logs() as logs:
        async with observer.work.begin(observer.actor) as uow:
            for contact_id in contact_ids:
                uow.enqueue(observer.greet(await observer.add_contact(uow, contact_id)))
            uow.publish(TOPIC)
    assert [await observer.sees(each) for each in contact_ids] == [True, True]
    assert [entry["log_level"] for entry in logs] == ["warning"] * 3
    assert [entry.get("job") for entry in logs] == ["greet_contact", "greet_contact", None]
    assert logs[2]["topics"] == [TOPIC]


async def test_a_failed_queue_does_not_stop_events_nor_failed_events_jobs(
    observer: Observer, valkey: ValkeyServer
) -> None:
    """Events are published without a queue, and jobs enqueued without a publisher."""
    await observer.subscribe(TOPIC)
    queues, publishers = (Queue(NOWHERE), Queue(valkey.url)), (Publisher(valkey.url), Publisher(NOWHERE))
    first, second = new_id(), new_id()
    engine = observer.work.engine
    for contact_id, queue, publisher in zip((first, second), queues, publishers, strict=True):
        await add(replace(observer, work=Work(engine, queue, publisher)), contact_id)
        await queue.aclose()
        await publisher.aclose()
    assert await observer.received() == [(TOPIC, first.bytes)]
    assert await observer.consume() == [Done(contact_id=second, row_seen=True)]
