"""One run of a reply: leases it, generates it, and ends it, also after errors and crashes."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from asyncpg import PostgresError
from sqlalchemy.exc import SQLAlchemyError

from cancellation.tasks import restart_when_cancelled
from core.access.actor import Actor, maya_actor, user_actor
from core.access.tenant import Tenant
from core.clock import since_boot
from core.database.scopes import Reader
from core.leases import LeaseLost
from core.logstream import LogEntry, LogLost, LogMissing, LogStream, LogUnavailable, LogWriter, StaleWriter
from core.pubsub import Hub, message_topic
from core.telemetry import describe_error, logger
from core.unit_of_work import Work
from integrations.language import LanguageModel, ModelRefused, ModelTimedOut, ModelUnavailable
from models.conversations import MessageStatus, ReplyFailure
from services.accounts import people
from services.accounts.people import Person
from services.conversations.reading import previous_messages
from services.conversations.work import RunReply, reply_log
from services.maya import leases
from services.maya.events import ReplyEnded, Token, decode, encode
from services.maya.generating import ContentFiltered, CutOff, LimitReached, ReplyGeneration
from services.maya.journal import Journal
from services.maya.leases import LEASE_SECONDS, Lease, ReplyResult
from services.maya.prompting import MAX_MESSAGES, facts, history

POLL_SECONDS: Final = 0.5
RENEW_SECONDS: Final = 3.0
_END_TRIES: Final = 6
END_PAUSE_SECONDS: Final = 0.5
_MAX_ATTEMPTS: Final = 3
log = logger(__name__)


class CancelRequested(Exception):
    """The user has cancelled the reply."""


class RunTimedOut(Exception):
    """The run exceeded its time limit."""


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """The result of a run."""

    status: MessageStatus
    failure: ReplyFailure | None = None
    explanation: str | None = None


_INTERRUPTED: Final = RunOutcome(
    MessageStatus.FAILED, ReplyFailure.INTERRUPTED, "The reply was interrupted. Ask again."
)
_INTERNAL_ERROR: Final = RunOutcome(
    MessageStatus.FAILED, ReplyFailure.INTERNAL, "An internal error occurred. Ask again."
)
_FAILURES: Final[dict[type[Exception], tuple[ReplyFailure, str]]] = {
    RunTimedOut: (ReplyFailure.TIMEOUT, "Ask again."),
    ModelTimedOut: (ReplyFailure.TIMEOUT, "Ask again."),
    ModelRefused: (ReplyFailure.MODEL_REFUSED, ""),
    ModelUnavailable: (ReplyFailure.MODEL_UNAVAILABLE, "Ask again in a moment."),
    LimitReached: (ReplyFailure.RUN_LIMIT, ""),
    CutOff: (ReplyFailure.CUT_OFF, "Ask Maya to go on."),
    ContentFiltered: (ReplyFailure.CONTENT_FILTERED, ""),
}
_DATABASE_UNAVAILABLE: Final = (SQLAlchemyError, OSError, PostgresError)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDependencies:
    """Dependencies of a run. `public_url` is the public URL, `max_seconds` the time limit of a run."""

    work: Work
    reads: Callable[[Tenant], Reader]
    logs: LogStream
    hub: Hub
    model: LanguageModel
    models: list[str]
    public_url: str
    max_seconds: float


async def run(dependencies: RunDependencies, job: RunReply) -> None:
    """Run a reply, unless it has ended or another run has leased it.

    A reply whose run was aborted is started again if it had no output. Otherwise it ends with INTERRUPTED and
    keeps its text, because subscribers have already received it.
    """
    without_role = maya_actor(user_actor(job.organization_id, job.user_id, None))
    leased_at = since_boot()
    async with dependencies.work.begin(without_role) as uow:
        lease = await leases.acquire(uow, job.message_id)
    if lease is None:
        return
    person = await people.person(dependencies.reads(without_role.tenant), job.user_id)
    if person is None:
        raise AssertionError("a reply without its user")
    actor = maya_actor(user_actor(job.organization_id, job.user_id, person.role))
    await ReplyRun(dependencies, actor, lease, person, leased_at=leased_at).execute()


class ReplyRun:
    """A run of a leased reply. `leased_at` (`since_boot` seconds) is the time at which the lease was requested."""

    def __init__(
        self, dependencies: RunDependencies, actor: Actor, lease: Lease, person: Person, *, leased_at: float
    ) -> None:
        self.dependencies = dependencies
        self.actor = actor
        self.lease = lease
        self.leased_at = leased_at
        self.person = person
        self.log_name = reply_log(actor.organization_id, lease.reply.id)
        self.journal = Journal(dependencies.logs, self.log_name)
        self.generation = ReplyGeneration(
            model=dependencies.model,
            models=dependencies.models,
            reads=dependencies.reads(actor.tenant),
            actor=actor,
            journal=self.journal,
            public_url=dependencies.public_url,
        )

    async def execute(self) -> None:
        """Generate the reply and end it."""
        try:
            has_started = self.lease.attempt > 1 and await self.has_output()
            await (self.close_interrupted() if has_started else self.make())
        except (LeaseLost, StaleWriter):
            log.info("another run has leased the reply", message=str(self.lease.reply.id), attempt=self.lease.attempt)

    async def make(self) -> None:
        """Generate until done, cancelled, failed or out of time; at shutdown end or release the reply."""
        try:
            await self.journal.flush()
            outcome = await self.generate()
        except asyncio.CancelledError:
            await self.shut_down()
            raise
        await self.end(outcome)

    async def generate(self) -> RunOutcome:
        """Generate the reply, with its lease renewed meanwhile. Raises `LeaseLost` or `StaleWriter`."""
        try:
            await self.check_cancelled()
            await _run_until_first_ends(
                self.answer(),
                restart_when_cancelled("reply-watch", self.watch),
                restart_when_cancelled("reply-journal", self.journal.write_events),
                max_seconds=self.dependencies.max_seconds,
            )
        except CancelRequested:
            return RunOutcome(MessageStatus.CANCELLED)
        except tuple(_FAILURES) as error:
            code, advice = next(_FAILURES[kind] for kind in _FAILURES if isinstance(error, kind))
            log.info("reply failed", message=str(self.lease.reply.id), code=code, reason=describe_error(error))
            return RunOutcome(MessageStatus.FAILED, code, f"{error} {advice}".strip())
        except (LeaseLost, StaleWriter):
            raise
        except Exception:
            log.exception("reply failed on our side", message=str(self.lease.reply.id))
            return _INTERNAL_ERROR
        return RunOutcome(MessageStatus.COMPLETED)

    async def answer(self) -> None:
        """Generate the answer to the conversation."""
        messages = await previous_messages(
            self.dependencies.reads(self.actor.tenant), self.lease.reply, limit=MAX_MESSAGES
        )
        await self.generation.run([facts(self.person), *history(messages)])

    async def watch(self) -> NoReturn:
        """Renew the lease, and check for cancellation. Raises `CancelRequested`, or `LeaseLost`."""
        with self.dependencies.hub.watch(message_topic(self.actor.organization_id, self.lease.reply.id)) as watcher:
            while True:
                await watcher.next(within=POLL_SECONDS)
                try:
                    await self.check_cancelled()
                    if since_boot() >= self.leased_at + RENEW_SECONDS:
                        await self.renew()
                except _DATABASE_UNAVAILABLE as error:
                    log.warning(
                        "database unavailable during a reply",
                        message=str(self.lease.reply.id),
                        reason=describe_error(error),
                    )
                    if since_boot() >= self.leased_at + LEASE_SECONDS:
                        raise LeaseLost(self.lease.reply.id) from error

    async def check_cancelled(self) -> None:
        """Raise `CancelRequested` if the user has cancelled the reply, `LeaseLost` if another run has leased it."""
        if await leases.cancel_requested(self.dependencies.reads(self.actor.tenant), self.lease):
            raise CancelRequested

    async def renew(self) -> None:
        """Extend the lease, and store the text so far."""
        requested_at = since_boot()
        async with self.dependencies.work.begin(self.actor) as uow:
            await leases.renew(
                uow, self.lease, content=self.generation.text, last_sequence=self.journal.last_sequence
            )
        self.leased_at = requested_at

    async def shut_down(self) -> None:
        """On shutdown: release the reply for another run if it has no output, otherwise end it as interrupted."""
        if self.journal.events:
            await self.end(_INTERRUPTED)
        else:
            async with self.dependencies.work.begin(self.actor) as uow:
                await leases.release(uow, self.lease)

    async def end(self, outcome: RunOutcome) -> None:
        """End the reply: first its text in the log, then its row, then the log's last event."""
        await self.journal.flush()
        await self.commit(outcome, self.generation.text, self.journal.last_sequence + 1)
        self.journal.add_event(ReplyEnded())
        await self.journal.flush()

    async def commit(self, outcome: RunOutcome, content: str, last_sequence: int) -> None:
        """Write the result to the reply's row; retries while the database is unavailable."""
        ending = ReplyResult(
            status=outcome.status,
            content=content,
            last_sequence=last_sequence,
            failure=outcome.failure,
            explanation=outcome.explanation,
            model=self.generation.model_used,
            usage=self.generation.usage.as_json(),
        )
        for tries_left in reversed(range(_END_TRIES)):
            try:
                async with self.dependencies.work.begin(self.actor) as uow:
                    await leases.end(uow, self.lease, ending)
            except _DATABASE_UNAVAILABLE:
                if not tries_left:
                    raise
                await asyncio.sleep(END_PAUSE_SECONDS)
            else:
                return

    async def has_output(self) -> bool:
        """Whether an earlier run of this reply may have had output."""
        reply = self.lease.reply
        if reply.content or reply.last_sequence or self.lease.attempt > _MAX_ATTEMPTS:
            return True
        try:
            return bool(await self.dependencies.logs.read(self.log_name))
        except (LogMissing, LogUnavailable):
            return True

    async def close_interrupted(self) -> None:
        """End a reply whose run was aborted, with all of its output."""
        reply = self.lease.reply
        writer, logged_text = await self.recover_log()
        newest = max(reply.last_sequence, writer.last_sequence if writer else 0)
        outcome = RunOutcome(MessageStatus.CANCELLED) if self.lease.cancel_requested else _INTERRUPTED
        await self.commit(outcome, max(reply.content, logged_text, key=len), newest + 1)
        if writer and writer.last_sequence == newest:
            try:
                await writer.append(encode(ReplyEnded()))
            except (LogUnavailable, LogLost) as error:
                log.warning(
                    "log not ended; readers fall back to the row", log=self.log_name, reason=describe_error(error)
                )

    async def recover_log(self) -> tuple[LogWriter | None, str]:
        """Take over the log of a run whose lease has expired, and read its text; (None, "") if Redis has lost it."""
        try:
            writer = await self.dependencies.logs.claim(self.log_name)
            events = [decode(entry.event) async for entry in _entries(self.dependencies.logs, self.log_name)]
        except (LogMissing, LogUnavailable):
            return None, ""
        return writer, "".join(event.text for event in events if isinstance(event, Token))


async def _entries(logs: LogStream, name: str) -> AsyncIterator[LogEntry]:
    """All entries of a log. Raises `LogMissing`."""
    after = 0
    while page := await logs.read(name, after):
        for entry in page:
            yield entry
        after = page[-1].sequence


async def _run_until_first_ends(*work: Coroutine[Any, Any, None], max_seconds: float) -> None:
    """Run concurrently until the first ends, then cancel the others; raises what the first raised.

    Raises `RunTimedOut`, and `RuntimeError` if the first was cancelled from within.
    """
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        done, _ = await asyncio.wait(tasks, timeout=max_seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    if not done:
        raise RunTimedOut("The reply took too long.")
    first = next(task for task in tasks if task in done)
    if first.cancelled():
        raise RuntimeError("cancelled without a request")
    first.result()
