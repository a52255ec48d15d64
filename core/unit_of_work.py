"""One transaction of one actor. Jobs and events wait in it and go out only after COMMIT."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVarTuple

from sqlalchemy import CursorResult, Executable, Row, func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.sql.selectable import TypedReturnsRows

from core.access.actor import Actor
from core.access.tenant import Tenant
from core.database.scopes import IDLE_SECONDS, R, as_tuples, transaction
from core.pubsub import PublishFailed
from core.queue import Job, QueueUnavailable
from core.telemetry import described, logger

Ts = TypeVarTuple("Ts")
# Who works alone leaves that transaction silent for as long as the whole work takes.
ALONE_TIMES = 8
log = logger(__name__)


class JobSink(Protocol):
    """Where jobs go after COMMIT."""

    async def enqueue(self, job: Job) -> None:
        """Enqueue a job; raises `QueueUnavailable`."""


class EventSink(Protocol):
    """Where events go after COMMIT."""

    async def publish_all(self, events: Iterable[tuple[str, bytes]]) -> None:
        """Tell the topics' watchers to look again; raises `PublishFailed`."""


@dataclass(slots=True, kw_only=True)
class UnitOfWork:
    """The open transaction; services take it first. Nothing here commits but `Work.begin`."""

    connection: AsyncConnection
    actor: Actor
    jobs: list[Job] = field(default_factory=list)
    events: dict[str, bytes] = field(default_factory=dict)

    @property
    def tenant(self) -> Tenant:
        """The actor, as Row Level Security sees them."""
        return self.actor.tenant

    async def rows(
        self, statement: TypedReturnsRows[*Ts], parameters: dict[str, Any] | None = None
    ) -> Sequence[Row[*Ts]]:
        """Every row that a select, or a change with RETURNING, gives back."""
        return (await self.connection.execute(statement, parameters or {})).all()

    async def rows_as(
        self,
        row: type[R],
        statement: TypedReturnsRows[*tuple[Any, ...]],
        parameters: dict[str, Any] | None = None,
    ) -> list[R]:
        """Those rows, each as the named tuple of its columns."""
        return as_tuples(row, await self.rows(statement, parameters))

    async def execute(
        self, statement: Executable, parameters: dict[str, Any] | Sequence[dict[str, Any]] | None = None
    ) -> CursorResult[Any]:
        """Run a change; `.rowcount` says how many rows it touched."""
        return await self.connection.execute(statement, parameters or {})

    def enqueue(self, job: Job) -> None:
        """Enqueue a job once the transaction has committed; the same job twice is enqueued once."""
        if job not in self.jobs:
            self.jobs.append(job)

    def publish(self, topic: str, payload: bytes = b"") -> None:
        """Wake a topic's watchers once the transaction has committed; the newest payload of a topic wins."""
        self.events[topic] = payload


class Work:
    """Opens units of work. Everything in a process that changes rows goes through here.

    A unit that sends no statement for `idle_seconds` is rolled back by the server, as its process may be stopped.
    """

    def __init__(
        self, engine: AsyncEngine, jobs: JobSink, events: EventSink, *, idle_seconds: float = IDLE_SECONDS
    ) -> None:
        self.engine = engine
        self.jobs = jobs
        self.events = events
        self.idle_seconds = idle_seconds

    @asynccontextmanager
    async def begin(self, actor: Actor) -> AsyncIterator[UnitOfWork]:
        """A unit of work of the actor that commits when the block ends and rolls back when it raises.

        What could not be announced is logged, not raised: the rows are the truth, and the sweeper finds them.
        """
        async with transaction(self.engine, actor.tenant, idle_seconds=self.idle_seconds) as connection:
            uow = UnitOfWork(connection=connection, actor=actor)
            yield uow
        await self.announce(uow)

    @asynccontextmanager
    async def alone(self, name: str) -> AsyncIterator[bool]:
        """Whether this process is, until the block ends, the only one of the installation at the named work.

        Work that takes longer than eight times `idle_seconds` is no longer alone, and raises when it ends.
        """
        async with transaction(self.engine, None, idle_seconds=ALONE_TIMES * self.idle_seconds) as connection:
            lock = func.pg_try_advisory_xact_lock(func.hashtextextended(name, 0))
            yield bool(await connection.scalar(select(lock)))

    async def announce(self, uow: UnitOfWork) -> None:
        """Send out what a committed unit of work has collected."""
        for job in uow.jobs:
            try:
                await self.jobs.enqueue(job)
            except QueueUnavailable as error:
                log.warning("job not announced; the sweeper will find its rows", job=job.name, error=described(error))
        if uow.events:
            try:
                await self.events.publish_all(uow.events.items())
            except PublishFailed as error:
                log.warning("events not announced; readers poll", topics=list(uow.events), error=described(error))
