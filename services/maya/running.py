"""One run of Maya: from an open reply to an ended one, whatever happens on the way."""

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
from core.database.scopes import Reads
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
from services.maya.events import Ended, Token, decode, encode
from services.maya.journal import Journal
from services.maya.leases import LEASE_SECONDS, Ending, Lease
from services.maya.prompting import MOST_MESSAGES, facts, history
from services.maya.speaking import ContentFiltered, CutOff, LimitReached, Speech

POLL_SECONDS: Final = 0.5
RENEW_SECONDS: Final = 3.0
END_TRIES: Final = 6
END_PAUSE_SECONDS: Final = 0.5
MAX_ATTEMPTS: Final = 3
log = logger(__name__)


class CancelRequested(Exception):
    """A person wants the reply to stop."""


class RunTimedOut(Exception):
    """The run took longer than a run may take."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run turned out."""

    status: MessageStatus
    failure: ReplyFailure | None = None
    explanation: str | None = None


INTERRUPTED: Final = Outcome(
    MessageStatus.FAILED, ReplyFailure.INTERRUPTED, "Maya was interrupted in the middle of her answer. Ask again."
)
BROKEN: Final = Outcome(MessageStatus.FAILED, ReplyFailure.INTERNAL, "Something went wrong on our side. Ask again.")
FAILURES: Final[dict[type[Exception], tuple[ReplyFailure, str]]] = {
    RunTimedOut: (ReplyFailure.TIMEOUT, "Ask again."),
    ModelTimedOut: (ReplyFailure.TIMEOUT, "Ask again."),
    ModelRefused: (ReplyFailure.MODEL_REFUSED, ""),
    ModelUnavailable: (ReplyFailure.MODEL_UNAVAILABLE, "Ask again in a moment."),
    LimitReached: (ReplyFailure.RUN_LIMIT, ""),
    CutOff: (ReplyFailure.CUT_OFF, "Ask Maya to go on."),
    ContentFiltered: (ReplyFailure.CONTENT_FILTERED, ""),
}
DATABASE_UNAVAILABLE: Final = (SQLAlchemyError, OSError, PostgresError)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDependencies:
    """What a run works with. `own_url` is the public URL, `max_seconds` the most seconds a run may take."""

    work: Work
    reads: Callable[[Tenant], Reads]
    logs: LogStream
    hub: Hub
    model: LanguageModel
    models: list[str]
    own_url: str
    max_seconds: float


async def run(dependencies: RunDependencies, job: RunReply) -> None:
    """Make a reply, if it is still to be made and nobody else is at it.

    A reply whose run died is made anew when nothing of it was shown; else it ends with INTERRUPTED and keeps what
    was said, since words that somebody has read cannot be unsaid.
    """
    unread = maya_actor(user_actor(job.organization_id, job.user_id, None))
    held_since = since_boot()
    async with dependencies.work.begin(unread) as uow:
        lease = await leases.take(uow, job.message_id)
    if lease is None:
        return
    found = await people.person(dependencies.reads(unread.tenant), job.user_id)
    if found is None:
        raise AssertionError("a reply without its person")
    actor = maya_actor(user_actor(job.organization_id, job.user_id, found.role))
    await Run(dependencies, actor, lease, found, held_since=held_since).execute()


class Run:
    """A reply that is ours, while it is made. `held_since` (`since_boot` seconds) is when its lease was asked for."""

    def __init__(
        self, dependencies: RunDependencies, actor: Actor, lease: Lease, person: Person, *, held_since: float
    ) -> None:
        self.dependencies = dependencies
        self.actor = actor
        self.lease = lease
        self.held_since = held_since
        self.person = person
        self.log_name = reply_log(actor.organization_id, lease.reply.id)
        self.journal = Journal(dependencies.logs, self.log_name)
        self.speech = Speech(
            model=dependencies.model,
            models=dependencies.models,
            reads=dependencies.reads(actor.tenant),
            actor=actor,
            journal=self.journal,
            own_url=dependencies.own_url,
        )

    async def execute(self) -> None:
        """Make the reply, and end it as it turns out."""
        try:
            begun = self.lease.attempt > 1 and await self.was_begun()
            await (self.close_interrupted() if begun else self.make())
        except (LeaseLost, StaleWriter):
            log.info("another run has the reply", message=str(self.lease.reply.id), attempt=self.lease.attempt)

    async def make(self) -> None:
        """Speak until done, cancelled, failed or out of time."""
        try:
            await self.journal.flush()
            outcome = await self.speak()
        except asyncio.CancelledError:
            await self.stop()
            raise
        await self.end(outcome)

    async def speak(self) -> Outcome:
        """The reply, and how it turned out. Raises `LeaseLost` or `StaleWriter` when it is not ours any more."""
        try:
            await self.check_cancelled()
            await first_of(
                self.answer(),
                restart_when_cancelled("reply-watch", self.watch),
                restart_when_cancelled("reply-journal", self.journal.keep),
                max_seconds=self.dependencies.max_seconds,
            )
        except CancelRequested:
            return Outcome(MessageStatus.CANCELLED)
        except tuple(FAILURES) as error:
            code, advice = next(FAILURES[kind] for kind in FAILURES if isinstance(error, kind))
            log.info("reply failed", message=str(self.lease.reply.id), code=code, reason=describe_error(error))
            return Outcome(MessageStatus.FAILED, code, f"{error} {advice}".strip())
        except (LeaseLost, StaleWriter):
            raise
        except Exception:
            log.exception("reply failed on our side", message=str(self.lease.reply.id))
            return Outcome(
                MessageStatus.FAILED, ReplyFailure.INTERNAL, "Something went wrong on our side. Ask again."
            )
        return Outcome(MessageStatus.COMPLETED)

    async def answer(self) -> None:
        """What the conversation asks for."""
        said = await previous_messages(
            self.dependencies.reads(self.actor.tenant), self.lease.reply, limit=MOST_MESSAGES
        )
        await self.speech.deliver([facts(self.person), *history(said)])

    async def watch(self) -> NoReturn:
        """Keep the lease while the reply is made. Raises `CancelRequested`, or `LeaseLost`."""
        with self.dependencies.hub.watch(message_topic(self.actor.organization_id, self.lease.reply.id)) as watcher:
            while True:
                await watcher.next(within=POLL_SECONDS)
                try:
                    await self.check_cancelled()
                    if since_boot() >= self.held_since + RENEW_SECONDS:
                        await self.renew()
                except DATABASE_UNAVAILABLE as error:
                    log.warning(
                        "database away during a reply", message=str(self.lease.reply.id), reason=describe_error(error)
                    )
                    if since_boot() >= self.held_since + LEASE_SECONDS:
                        raise LeaseLost(self.lease.reply.id) from error

    async def check_cancelled(self) -> None:
        """Raise `CancelRequested` when a person wants the reply to stop, `LeaseLost` when it is not ours any more."""
        if await leases.cancel_requested(self.dependencies.reads(self.actor.tenant), self.lease):
            raise CancelRequested

    async def renew(self) -> None:
        """Keep the lease, and what was said so far."""
        asked = since_boot()
        async with self.dependencies.work.begin(self.actor) as uow:
            await leases.renew(uow, self.lease, content=self.speech.text, last_sequence=self.journal.last_sequence)
        self.held_since = asked

    async def stop(self) -> None:
        """The process shuts down: hand the reply on when nothing was shown, else end it here."""
        if self.journal.events or self.journal.pending:
            await self.end(INTERRUPTED)
        else:
            async with self.dependencies.work.begin(self.actor) as uow:
                await leases.release(uow, self.lease)

    async def end(self, outcome: Outcome) -> None:
        """End the reply: first its text in the log, then its row, then the log's last event."""
        await self.journal.flush()
        await self.commit(outcome, self.speech.text, self.journal.last_sequence + 1)
        self.journal.note(Ended())
        await self.journal.flush()

    async def commit(self, outcome: Outcome, content: str, last_sequence: int) -> None:
        """End the reply's row; a database that is away for a moment is waited for."""
        ending = Ending(
            status=outcome.status,
            content=content,
            last_sequence=last_sequence,
            failure=outcome.failure,
            explanation=outcome.explanation,
            model=self.speech.spoken_by,
            usage=self.speech.usage.as_json(),
        )
        for left in reversed(range(END_TRIES)):
            try:
                async with self.dependencies.work.begin(self.actor) as uow:
                    await leases.end(uow, self.lease, ending)
            except DATABASE_UNAVAILABLE:
                if not left:
                    raise
                await asyncio.sleep(END_PAUSE_SECONDS)
            else:
                return

    async def was_begun(self) -> bool:
        """Whether an earlier run of this reply has shown anything; when in doubt, yes."""
        reply = self.lease.reply
        if reply.content or reply.last_sequence or self.lease.attempt > MAX_ATTEMPTS:
            return True
        try:
            return bool(await self.dependencies.logs.read(self.log_name))
        except (LogMissing, LogUnavailable):
            return True

    async def close_interrupted(self) -> None:
        """End a reply whose run died, with all that was shown of it."""
        reply = self.lease.reply
        writer, shown = await self.recover_log()
        newest = max(reply.last_sequence, writer.last_sequence if writer else 0)
        outcome = Outcome(MessageStatus.CANCELLED) if self.lease.cancel_requested else INTERRUPTED
        await self.commit(outcome, max(reply.content, shown, key=len), newest + 1)
        if writer and writer.last_sequence == newest:
            try:
                await writer.append(encode(Ended()))
            except (LogUnavailable, LogLost) as error:
                log.warning("log not ended; readers look at the row", log=self.log_name, reason=describe_error(error))

    async def recover_log(self) -> tuple[LogWriter | None, str]:
        """The log, with the dead run shut out of it, and the text in it; neither when Redis has lost it."""
        try:
            writer = await self.dependencies.logs.claim(self.log_name)
            events = [decode(entry.event) async for entry in entries(self.dependencies.logs, self.log_name)]
        except (LogMissing, LogUnavailable):
            return None, ""
        return writer, "".join(event.text for event in events if isinstance(event, Token))


async def entries(logs: LogStream, name: str) -> AsyncIterator[LogEntry]:
    """Every entry of a log, from the first on. Raises `LogMissing`."""
    after = 0
    while page := await logs.read(name, after):
        for entry in page:
            yield entry
        after = page[-1].sequence


async def first_of(*work: Coroutine[Any, Any, None], max_seconds: float) -> None:
    """Run side by side until the first is done, as it was done; the others are cancelled.

    Raises `RunTimedOut`, and `RuntimeError` for work that was cancelled though nobody asked.
    """
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        done, _ = await asyncio.wait(tasks, timeout=max_seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    if not done:
        raise RunTimedOut("Maya's answer took too long.")
    first = next(task for task in tasks if task in done)
    if first.cancelled():
        raise RuntimeError("cancelled though nobody asked")
    first.result()
