"""System mail: written in the caller's transaction, and sent once with any outcome."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
from sqlalchemy import func, literal, select, text, update
from structlog.testing import capture_logs

from core.access.actor import Actor
from core.ids import new_id
from core.queue import Job
from core.unit_of_work import UnitOfWork, Work
from integrations.mail import (
    AccountRefused,
    BatchHeader,
    BatchProcessed,
    InDoubt,
    Message,
    NotSent,
    Outcome,
    Stream,
    SubmissionResult,
    SubmissionStatus,
)
from integrations.recording import RecordingMailer
from jobs import JOBS
from jobs.outbox import SWEEPS
from jobs.sweeper import Sweeper
from jobs.tasks import KeyedTasks
from jobs.worker import build_worker
from models.outbox import OutboxMessage, OutboxStatus
from runtime import Runtime
from services.mailing.handover import RequestOutcome
from services.outbox import writing
from services.outbox.reconciling import reserve_due
from services.outbox.recording import record
from services.outbox.submitting import ComposedMail, OutboxBatch, OutboxItem, submit
from services.outbox.work import SendOutbox
from tests import factories
from tests.deliveries.conftest import Provider
from tests.deliveries.model import ModelMailer
from tests.outbox.mailing import (
    DAY,
    KIND,
    compose_plain,
    expire_all,
    outbox_of,
    put,
    reconcile_and_send,
    rows,
    statuses,
)

PENDING, SUBMITTING, UNKNOWN, ACCEPTED, FAILED, CANCELLED = OutboxStatus


@dataclass
class RecordingQueue:
    """Records the jobs that are enqueued after COMMIT."""

    jobs: list[Job] = field(default_factory=list)

    async def enqueue(self, job: Job) -> None:
        """Record a job."""
        self.jobs.append(job)

    async def publish_all(self, _: object) -> None:
        """Do nothing."""


async def test_a_message_is_part_of_the_caller_s_transaction(runtime: Runtime) -> None:
    """After a rollback there is neither a message nor a job; after a commit both."""
    actor = await factories.organization(runtime)
    noted = RecordingQueue()
    work = Work(runtime.engine, noted, noted)
    with pytest.raises(ZeroDivisionError):
        await put_and_fail(work, actor)
    assert (await rows(runtime, actor), noted.jobs) == ([], [])
    async with work.begin(actor) as uow:
        for _ in range(2):
            await writing.enqueue(uow, KIND, new_id(), "a@example.com", expires_in=DAY)
    assert noted.jobs == [SendOutbox(organization_id=actor.organization_id)]
    assert await statuses(runtime, actor) == [PENDING, PENDING]


async def put_and_fail(work: Work, actor: Actor) -> None:
    """Write a message in a unit of work that fails afterwards."""
    async with work.begin(actor) as uow:
        await writing.enqueue(uow, KIND, new_id(), "a@example.com", expires_in=DAY)
        raise ZeroDivisionError


async def test_a_dedupe_key_is_unique_in_an_organization(runtime: Runtime) -> None:
    """Also for concurrent transactions; other organizations have their own keys; without a key all are distinct."""
    mine, other = [await factories.organization(runtime) for _ in range(2)]

    async def put_with_key(actor: Actor, key: str | None) -> bool:
        async with runtime.work.begin(actor) as uow:
            row = await writing.enqueue(uow, KIND, new_id(), "a@example.com", expires_in=DAY, dedupe_key=key)
        return row is not None

    assert sorted(await asyncio.gather(*(put_with_key(mine, "report:1") for _ in range(4)))) == [
        False,
        False,
        False,
        True,
    ]
    assert await put_with_key(other, "report:1")
    assert await put_with_key(mine, "report:2")
    assert [await put_with_key(mine, None) for _ in range(2)] == [True, True]


async def test_system_mail_has_its_own_stream(runtime: Runtime, provider: Provider) -> None:
    """From the installation's address, without tracking, as auto-generated, and without an unsubscribe link."""
    actor = await factories.organization(runtime)
    (one,) = await put(runtime, actor)
    await outbox_of(runtime, provider.mailer).send_due(actor)
    page = (await provider.client.call("GET", f"/sandbox/ledger?delivery={one}")).object()
    assert isinstance(page["messages"], list)
    (entry,) = page["messages"]
    assert (entry["stream"], entry["track_opens"], entry["link"]) == ("outbound", False, None)
    assert entry["from_header"] == runtime.settings.postmark.sender
    answer = await provider.client.call("GET", f"/sandbox/messages/{entry['message_id']}")
    message = answer.object()["message"]
    assert isinstance(message, dict)
    assert message["Headers"] == [{"Name": "Auto-Submitted", "Value": "auto-generated"}]
    assert message["TrackLinks"] == "None"
    (row,) = await rows(runtime, actor)
    assert (row.status, row.message_id, row.finished_at is None) == (ACCEPTED, entry["message_id"], False)


REFUSED = SubmissionResult(SubmissionStatus.REFUSED, None, 300, "Invalid 'To' address.")
INACTIVE = SubmissionResult(SubmissionStatus.INACTIVE, None, 406, "It bounced.")
SLOW_DOWN = SubmissionResult(SubmissionStatus.RETRY_LATER, None, 429, "Slow down.")
UNPAID = SubmissionResult(SubmissionStatus.ACCOUNT_REFUSED, None, 405, "Pay.")


@pytest.mark.parametrize(
    ("outcome", "status", "words"),
    [
        (BatchProcessed(results=[REFUSED]), FAILED, "Invalid 'To' address."),
        (BatchProcessed(results=[INACTIVE]), FAILED, "It bounced."),
        (BatchProcessed(results=[SLOW_DOWN]), PENDING, "Slow down."),
        (BatchProcessed(results=[UNPAID]), PENDING, "Pay."),
        (NotSent(reason="Postmark cannot be reached"), PENDING, "Postmark cannot be reached"),
        (AccountRefused(code=401, reason="Confirm the sender."), PENDING, "Confirm the sender."),
    ],
)
async def test_messages_that_were_not_sent_are_retried_or_fail(
    runtime: Runtime, outcome: Outcome, status: OutboxStatus, words: str
) -> None:
    """A refusal of the message is final; others are retried. The provider's text is stored."""
    actor = await factories.organization(runtime)
    await put(runtime, actor)
    mailer = RecordingMailer(lambda *_: outcome)
    await outbox_of(runtime, mailer).send_due(actor)
    (row,) = await rows(runtime, actor)
    assert (row.status, row.error_message) == (status, words)
    assert mailer.sent == []
    mailer.answer = None
    await expire_all(runtime, actor)
    await outbox_of(runtime, mailer).send_due(actor)
    assert len(mailer.sent) == (1 if status is PENDING else 0)


async def test_pauses_grow_and_respect_retry_after(runtime: Runtime) -> None:
    """Each pause is longer than the last, up to five minutes, and at least as long as the provider's Retry-After."""
    actor = await factories.organization(runtime)
    await put(runtime, actor)
    pauses = []
    for _ in range(12):
        await outbox_of(runtime, RecordingMailer(lambda *_: NotSent(reason="429"))).send_due(actor)
        pauses.append(await pause(runtime, actor))
        await expire_all(runtime, actor)
    assert pauses[0] <= 6
    assert pauses[3] > pauses[0]
    assert max(pauses) <= 301
    mailer = RecordingMailer(lambda *_: NotSent(reason="429", retry_after_seconds=900))
    await outbox_of(runtime, mailer).send_due(actor)
    assert await pause(runtime, actor) > 890


async def pause(runtime: Runtime, actor: Actor) -> float:
    """Seconds until the organization's message is retried, by the database's clock."""
    left = func.extract("epoch", OutboxMessage.due_at - func.clock_timestamp())
    return float((await runtime.reads(actor.tenant).rows(select(left)))[0][0])


async def test_an_expired_message_fails(runtime: Runtime) -> None:
    """It is not sent any more, and keeps its last error."""
    actor = await factories.organization(runtime)
    await put(runtime, actor, expires_in=timedelta(0))
    mailer = RecordingMailer()
    await outbox_of(runtime, mailer).send_due(actor)
    assert (await statuses(runtime, actor), mailer.sent) == ([FAILED], [])


async def test_an_error_in_composing_does_not_delay_other_messages(runtime: Runtime) -> None:
    """It is postponed and logged, and its writes are rolled back; a message that is not needed is cancelled."""
    actor = await factories.organization(runtime)
    broken, needless, good = await put(runtime, actor, 3)

    async def compose(uow: UnitOfWork, item: OutboxItem) -> ComposedMail | None:
        if item.id == broken:
            await uow.execute(update(OutboxMessage).values(error_message="written by what failed"))
            await uow.rows(select(literal(1) / 0))
        return None if item.id == needless else await compose_plain(uow, item)

    mailer = RecordingMailer()
    with capture_logs() as logs:
        await outbox_of(runtime, mailer, compose).send_due(actor)
    assert [message.delivery_id for _, message, _ in mailer.sent] == [str(good)]
    results = {row.id: (row.status, row.error_message) for row in await rows(runtime, actor)}
    assert results[broken] == (PENDING, "The message could not be composed.")
    assert (results[needless], results[good]) == ((CANCELLED, None), (ACCEPTED, None))
    assert [entry["outbox_id"] for entry in logs if entry["event"] == "message not composed"] == [str(broken)]


@pytest.mark.parametrize("outcome", ["failed before", "failed after"])
async def test_messages_in_doubt_are_looked_up(runtime: Runtime, outcome: str) -> None:
    """After a lost response: a found message is accepted, one absent in three lookups is sent again, once."""
    actor = await factories.organization(runtime)
    await put(runtime, actor, 2)
    mailer = ModelMailer(outcome=outcome)
    sender = outbox_of(runtime, mailer)
    await reconcile_and_send(sender, actor)
    assert await statuses(runtime, actor) == [UNKNOWN, UNKNOWN]
    mailer.outcome = "ok"
    await expire_all(runtime, actor)
    await reconcile_and_send(sender, actor)
    assert await statuses(runtime, actor) == [ACCEPTED, ACCEPTED]
    assert len({one.delivery_id for one in mailer.accepted}) == len(mailer.accepted) == 2
    assert {one.stream for one in mailer.accepted} == {Stream.TRANSACTIONAL}


async def test_a_lookup_skips_messages_locked_by_another_worker(runtime: Runtime) -> None:
    """The other messages of the batch are reserved immediately."""
    actor = await factories.organization(runtime)
    first, second, third = await put(runtime, actor, 3)
    await outbox_of(runtime, ModelMailer(outcome="failed before")).send_due(actor)
    await expire_all(runtime, actor)
    async with runtime.work.begin(actor) as other:
        await other.rows(select(OutboxMessage.id).where(OutboxMessage.id == second).with_for_update())
        async with runtime.work.begin(actor) as uow:
            await uow.execute(text("SET LOCAL lock_timeout = '5s'"))
            lookup = await reserve_due(uow)
    assert lookup is not None
    assert {row.id for row in lookup.rows} == {first, third}


@pytest.mark.parametrize("fault", ["cut_reply", "server_error_before_accept"])
async def test_lookups_use_postmark_s_search(runtime: Runtime, provider: Provider, fault: str) -> None:
    """In the stream of system mail: found messages are not sent again, absent ones are."""
    actor = await factories.organization(runtime)
    await put(runtime, actor, 2)
    sender = outbox_of(runtime, provider.mailer)
    await provider.fail(**{fault: {"count": 1}})
    await reconcile_and_send(sender, actor)
    assert await statuses(runtime, actor) == [UNKNOWN, UNKNOWN]
    await expire_all(runtime, actor)
    await reconcile_and_send(sender, actor)
    assert await statuses(runtime, actor) == [ACCEPTED, ACCEPTED]
    assert (await provider.client.summary())["accepted"] == 2


@pytest.mark.parametrize(
    "outcome",
    [
        NotSent(reason="The lease was nearly over.", caused_locally=True),
        InDoubt(reason="The response was lost."),
        BatchProcessed(results=[SubmissionResult(SubmissionStatus.REFUSED, None, 300, "No.")]),
    ],
)
async def test_a_late_record_does_not_affect_another_worker_s_batch(runtime: Runtime, outcome: Outcome) -> None:
    """A worker that continues after its messages were leased to another one changes nothing."""
    actor = await factories.organization(runtime)
    await put(runtime, actor)
    composers = outbox_of(runtime, ModelMailer()).composers

    async def claim() -> OutboxBatch:
        async with runtime.work.begin(actor) as uow:
            (batch,) = await submit(uow, composers, limit=20, lease_seconds=60) or []
        return batch

    late = await claim()
    async with runtime.work.begin(actor) as uow:
        await uow.execute(update(OutboxMessage).values(status=PENDING))
    current = await claim()
    async with runtime.work.begin(actor) as uow:
        await record(uow, late, [RequestOutcome(late.messages, outcome)], request_seconds=0)
    (row,) = await rows(runtime, actor)
    assert (row.status, row.lease_token, row.batch_id) == (SUBMITTING, current.token, current.batch_id)


async def test_lookups_are_spread_over_the_grace_period(runtime: Runtime) -> None:
    """With a lagging search, a message is not sent again before the end; a failed search does not count."""
    actor = await factories.organization(runtime)
    await put(runtime, actor)
    mailer = ModelMailer(outcome="failed after", lag=2)
    sender = outbox_of(runtime, mailer, grace=600.0)
    await reconcile_and_send(sender, actor)
    mailer.outcome, mailer.search_fails = "ok", True
    await expire_all(runtime, actor)
    await reconcile_and_send(sender, actor)
    assert [row.lookups for row in await rows(runtime, actor)] == [0]
    assert await pause(runtime, actor) > 50
    mailer.search_fails = False
    for lookups in (1, 2):
        await expire_all(runtime, actor)
        await reconcile_and_send(sender, actor)
        assert [row.lookups for row in await rows(runtime, actor)] == [lookups]
        assert 200 < await pause(runtime, actor) <= 300
    mailer.time = 2
    await expire_all(runtime, actor)
    await reconcile_and_send(sender, actor)
    assert (await statuses(runtime, actor), len(mailer.accepted)) == ([ACCEPTED], 1)


async def test_messages_of_a_crashed_worker_are_in_doubt(runtime: Runtime) -> None:
    """When its lease has expired, not before; an outcome that is recorded later counts."""
    actor = await factories.organization(runtime)
    await put(runtime, actor)
    mailer = ModelMailer()
    sender = outbox_of(runtime, mailer)
    async with runtime.work.begin(actor) as uow:
        assert await submit(uow, sender.composers, limit=20, lease_seconds=60)
    await reconcile_and_send(sender, actor)
    assert (await statuses(runtime, actor), mailer.accepted) == ([SUBMITTING], [])
    await expire_all(runtime, actor)
    await reconcile_and_send(sender, actor)
    assert (await statuses(runtime, actor), len(mailer.accepted)) == ([ACCEPTED], 1)


async def test_two_workers_send_each_message_once(runtime: Runtime) -> None:
    """Fifty messages and four concurrent workers: each is sent, none twice."""
    actor = await factories.organization(runtime)
    ids = await put(runtime, actor, 50)
    mailer = ModelMailer()
    await asyncio.gather(*(outbox_of(runtime, mailer).send_due(actor) for _ in range(4)))
    assert sorted(one.delivery_id for one in mailer.accepted) == sorted(map(str, ids))
    assert set(await statuses(runtime, actor)) == {ACCEPTED}


async def wait_until_idle(tasks: KeyedTasks) -> None:
    """Wait until no task runs."""
    async with asyncio.timeout(60):
        while tasks.tasks:
            await asyncio.wait(list(tasks.tasks.values()))


async def unconfirmed_senders(runtime: Runtime, how_many: int) -> Actor:
    """An organization with senders that wait for their confirmation."""
    actor = await factories.organization(runtime)
    for _ in range(how_many):
        sender_id = await factories.sender(runtime, actor, confirmed=False)
        async with runtime.work.begin(actor) as uow:
            await writing.enqueue(uow, KIND, sender_id, "a@example.com", expires_in=DAY)
    return actor


class BlockedMailer(RecordingMailer):
    """A provider that does not answer about one organization's messages until it is released."""

    def __init__(self) -> None:
        super().__init__()
        self.released = asyncio.Event()
        self.reached = asyncio.Event()
        self.blocked: set[str] = set()

    async def send(self, header: BatchHeader, messages: Sequence[Message], *, not_after: float) -> Outcome:
        """Block on the first batch."""
        if not self.blocked:
            self.blocked = {message.delivery_id for message in messages}
            self.reached.set()
            await self.released.wait()
        return await super().send(header, messages, not_after=not_after)


async def test_one_organization_does_not_delay_another(fresh_runtime: Runtime) -> None:
    """While the provider does not answer for one's burst, the other's message is sent; the sweep finds both."""
    burst, other = await unconfirmed_senders(fresh_runtime, 30), await unconfirmed_senders(fresh_runtime, 1)
    mailer = BlockedMailer()
    worker = build_worker(replace(fresh_runtime, mailer=mailer), JOBS)
    worker.start(SendOutbox(organization_id=burst.organization_id))
    async with asyncio.timeout(60):
        await mailer.reached.wait()
    for sweep in SWEEPS:
        await Sweeper(worker, asyncio.Event()).run_once(sweep)
    async with asyncio.timeout(60):
        while await statuses(fresh_runtime, other) != [ACCEPTED]:  # noqa: ASYNC110 - another task writes it
            await asyncio.sleep(0.02)
    assert len(mailer.blocked) == 20
    assert (await statuses(fresh_runtime, burst)).count(ACCEPTED) == 0
    mailer.released.set()
    await wait_until_idle(worker.tasks)
    assert set(await statuses(fresh_runtime, burst)) == {ACCEPTED}
    assert len({message.delivery_id for _, message, _ in mailer.sent}) == len(mailer.sent) == 31
