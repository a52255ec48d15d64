"""A transaction of one actor. Its jobs and signals are buffered, and sent only after COMMIT."""

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
from core.telemetry import describe_error, logger

Ts = TypeVarTuple("Ts")
# The transaction that holds an advisory lock runs no statement while the work under the lock continues.
LOCK_IDLE_FACTOR = 8
log = logger(__name__)


class JobSink(Protocol):
    """Receives jobs after COMMIT."""

    async def enqueue(self, job: Job) -> None:
        """Enqueue a job; raises `QueueUnavailable`."""


class SignalSink(Protocol):
    """Receives signals after COMMIT."""

    async def publish_all(self, signals: Iterable[tuple[str, bytes]]) -> None:
        """Publish the payload of each topic; raises `PublishFailed`."""


@dataclass(slots=True, kw_only=True)
class UnitOfWork:
    """An open transaction, the first argument of service functions that write. Only `Work.begin` commits it."""

    connection: AsyncConnection
    actor: Actor
    jobs: list[Job] = field(default_factory=list)
    signals: dict[str, bytes] = field(default_factory=dict)

    @property
    def tenant(self) -> Tenant:
        """The actor's settings for Row Level Security."""
        return self.actor.tenant

    async def rows(
        self, statement: TypedReturnsRows[*Ts], parameters: dict[str, Any] | None = None
    ) -> Sequence[Row[*Ts]]:
        """All rows of a SELECT or of a change with RETURNING."""
        return (await self.connection.execute(statement, parameters or {})).all()

    async def rows_as(
        self,
        row: type[R],
        statement: TypedReturnsRows[*tuple[Any, ...]],
        parameters: dict[str, Any] | None = None,
    ) -> list[R]:
        """As `rows`, each row as the named tuple `row`."""
        return as_tuples(row, await self.rows(statement, parameters))

    async def execute(
        self, statement: Executable, parameters: dict[str, Any] | Sequence[dict[str, Any]] | None = None
    ) -> CursorResult[Any]:
        """Run a change; `.rowcount` of the result is the number of rows changed."""
        return await self.connection.execute(statement, parameters or {})

    def enqueue(self, job: Job) -> None:
        """Enqueue a job after COMMIT; an equal job is enqueued once."""
        if job not in self.jobs:
            self.jobs.append(job)

    def publish(self, topic: str, payload: bytes = b"") -> None:
        """Publish to a topic after COMMIT; only the last payload of a topic is sent."""
        self.signals[topic] = payload


class Work:
    """Opens units of work: the only way in which a process changes rows.

    The server rolls back a unit of work that runs no statement for `idle_seconds`: its process may have stopped.
    """

    def __init__(
        self, engine: AsyncEngine, jobs: JobSink, signals: SignalSink, *, idle_seconds: float = IDLE_SECONDS
    ) -> None:
        self.engine = engine
        self.jobs = jobs
        self.signals = signals
        self.idle_seconds = idle_seconds

    @asynccontextmanager
    async def begin(self, actor: Actor) -> AsyncIterator[UnitOfWork]:
        """Open a unit of work: commits when the block ends, rolls back when it raises.

        A job or signal that cannot be sent after COMMIT is logged, not raised: the sweeper finds the committed rows.
        """
        async with transaction(self.engine, actor.tenant, idle_seconds=self.idle_seconds) as connection:
            uow = UnitOfWork(connection=connection, actor=actor)
            yield uow
        await self._dispatch(uow)

    @asynccontextmanager
    async def advisory_lock(self, name: str) -> AsyncIterator[bool]:
        """Try to take the named lock, which one process of the installation can hold; yields whether it was free.

        A block that takes longer than eight times `idle_seconds` loses the lock, and raises when it ends.
        """
        async with transaction(self.engine, None, idle_seconds=LOCK_IDLE_FACTOR * self.idle_seconds) as connection:
            lock = func.pg_try_advisory_xact_lock(func.hashtextextended(name, 0))
            yield bool(await connection.scalar(select(lock)))

    async def _dispatch(self, uow: UnitOfWork) -> None:
        """Send the jobs and signals of a committed unit of work."""
        for job in uow.jobs:
            try:
                await self.jobs.enqueue(job)
            except QueueUnavailable as error:
                log.warning("job not enqueued; a sweep will find its rows", job=job.name, error=describe_error(error))
        if uow.signals:
            try:
                await self.signals.publish_all(uow.signals.items())
            except PublishFailed as error:
                log.warning(
                    "signals not published; subscribers poll", topics=list(uow.signals), error=describe_error(error)
                )
