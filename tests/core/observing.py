"""A real queue with a consumer, a real subscriber, and a database whose COMMIT can be blocked or refused."""

from asyncio import Task
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

import asyncpg
from arq.connections import create_pool
from arq.worker import Worker, func
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from sqlalchemy import insert

from core.access.actor import Actor
from core.ids import new_id
from core.pubsub import PREFIX, Publisher
from core.queue import QUEUE_NAME, Job, Queue, deserialize, redis_settings, serialize
from core.unit_of_work import UnitOfWork, Work
from models.contacts import Contact
from runtime import Runtime
from tests.waiting import WAIT_SECONDS, until

if TYPE_CHECKING:
    from arq.typing import WorkerCoroutine

ORDINARY, BLOCKED, REFUSED = "Ordinary", "Blocked", "Refused"
COMMIT_LOCK = 20_261_129
# A deferred trigger runs within COMMIT itself.
AT_COMMIT = f"""
CREATE FUNCTION at_commit() RETURNS trigger LANGUAGE plpgsql AS $body$ BEGIN
    IF NEW.first_name = '{BLOCKED}' THEN PERFORM pg_advisory_xact_lock({COMMIT_LOCK}); END IF;
    IF NEW.first_name = '{REFUSED}' THEN RAISE EXCEPTION 'this COMMIT fails'; END IF;
    RETURN NULL;
END $body$;
CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON contacts
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION at_commit();
"""
WAITING = """
SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class GreetContact(Job):
    """A job about a row of the unit of work that enqueues it."""

    contact_id: UUID


Job.registry.pop("greet_contact")  # not a job of the product


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A job that the consumer has run, and whether it could see its row."""

    contact_id: UUID
    row_seen: bool


@dataclass(slots=True, kw_only=True)
class Observer:
    """The view of other processes: rows through a separate connection, jobs and signals through Valkey."""

    actor: Actor
    work: Work
    rows: "asyncpg.Connection[asyncpg.Record]"
    redis_url: str
    redis: Redis
    subscription: PubSub
    done: list[Done] = field(default_factory=list)

    async def add_contact(self, uow: UnitOfWork, contact_id: UUID, name: str = ORDINARY) -> UUID:
        """Insert a contact; its name decides the outcome of the COMMIT."""
        email = f"{contact_id.hex}@example.com"
        await uow.execute(
            insert(Contact).values(
                id=contact_id,
                organization_id=self.actor.organization_id,
                email=email,
                email_norm=email,
                first_name=name,
            )
        )
        return contact_id

    def greet(self, contact_id: UUID) -> GreetContact:
        """A job about a contact."""
        return GreetContact(organization_id=self.actor.organization_id, contact_id=contact_id)

    async def sees(self, contact_id: UUID) -> bool:
        """Whether another connection sees the row."""
        return bool(await self.rows.fetchval("SELECT EXISTS (SELECT FROM contacts WHERE id = $1)", contact_id))

    async def consume(self) -> list[Done]:
        """Run all jobs that are in the queue now, as a worker does; returns them."""
        self.done.clear()
        pool = await create_pool(
            redis_settings(self.redis_url), job_serializer=serialize, job_deserializer=deserialize
        )
        try:
            worker = Worker(
                functions=[func(cast("WorkerCoroutine", self.run), name="greet_contact")],
                redis_pool=pool,
                queue_name=QUEUE_NAME,
                burst=True,
                max_jobs=1,  # as `rows` is one connection
                handle_signals=False,
                poll_delay=0.01,
                keep_result=0,
                job_serializer=serialize,
                job_deserializer=deserialize,
            )
            await worker.async_run()
            assert worker.jobs_failed == 0
        finally:
            await pool.aclose()
        return list(self.done)

    async def run(self, _: dict[str, Any], ids: dict[str, str]) -> None:
        """The worker function: check whether the row is visible."""
        contact_id = UUID(ids["contact_id"])
        self.done.append(Done(contact_id=contact_id, row_seen=await self.sees(contact_id)))

    async def subscribe(self, *topics: str) -> None:
        """Receive the events of the topics from now on."""
        await self.subscription.subscribe(*(PREFIX + topic for topic in topics))
        for _ in topics:
            message = await self.subscription.get_message(timeout=WAIT_SECONDS)
            assert message is not None
            assert message["type"] == "subscribe"

    async def received(self) -> list[tuple[str, bytes]]:
        """Every event published to the subscribed topics until now, in order.

        The server delivers in the order of publication, so a marker that we publish comes last.
        """
        marker = new_id().bytes
        channel = next(iter(self.subscription.channels))
        await self.redis.publish(channel, marker)
        messages: list[tuple[str, bytes]] = []
        while True:
            message = await self.subscription.get_message(timeout=WAIT_SECONDS)
            assert message is not None
            if message["data"] == marker:
                return messages
            messages.append((message["channel"].decode().removeprefix(PREFIX), message["data"]))

    @asynccontextmanager
    async def commits_blocked(self) -> AsyncIterator[None]:
        """Block the COMMIT of contacts with the name BLOCKED until the block ends."""
        await self.rows.execute("SELECT pg_advisory_lock($1)", COMMIT_LOCK)
        try:
            yield
        finally:
            await self.rows.execute("SELECT pg_advisory_unlock($1)", COMMIT_LOCK)

    async def commit_started(self, task: Task[None]) -> None:
        """Wait until a COMMIT is blocked."""

        async def waiting() -> bool:
            assert not task.done(), task.result()
            return bool(await self.rows.fetchval(WAITING))

        await until(waiting)


@asynccontextmanager
async def observing(runtime: Runtime, actor: Actor, admin_url: str, redis_url: str) -> AsyncIterator[Observer]:
    """An observer of the runtime's database, in which a COMMIT can be blocked or refused, and of a Valkey."""
    queue, publisher = Queue(redis_url), Publisher(redis_url, within=WAIT_SECONDS)
    rows = await asyncpg.connect(admin_url)
    try:
        await rows.execute(AT_COMMIT)
        async with Redis.from_url(redis_url) as redis, redis.pubsub() as subscription:
            yield Observer(
                actor=actor,
                work=Work(runtime.engine, queue, publisher),
                rows=rows,
                redis_url=redis_url,
                redis=redis,
                subscription=subscription,
            )
    finally:
        await rows.close()
        await queue.aclose()
        await publisher.aclose()
