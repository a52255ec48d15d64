"""The two jobs of system mail: due messages wait neither for lookups nor for an unused part of the rate."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from core.ids import new_id
from integrations.mail import BatchHeader, Message, Outcome, Stream
from integrations.recording import UNLIMITED, RecordingMailer
from jobs.outbox import find_outbox
from models.outbox import OutboxStatus
from runtime import Runtime, running
from services.mailing.pacing import reserve
from services.outbox.reconciling import record_lookup, reserve_due
from services.outbox.sending import MailNeeds, organizations_with_mail
from services.outbox.submitting import ComposedMail, OutboxItem
from services.outbox.work import ReconcileOutbox, SendOutbox
from tests import factories
from tests.conftest import Servers
from tests.deliveries.model import ModelMailer
from tests.outages import Relay, relayed
from tests.outbox.mailing import compose_plain, expire_all, outbox_of, put, rows, statuses

FIRST = UUID(int=0)
PENDING, UNKNOWN, ACCEPTED = OutboxStatus.PENDING, OutboxStatus.UNKNOWN, OutboxStatus.ACCEPTED


async def test_organizations_are_found_with_the_work_of_their_mail(fresh_runtime: Runtime) -> None:
    """To send, to look up, or both; page by page in the order of their ids."""
    owners = [await factories.organization(fresh_runtime) for _ in range(3)]
    due, in_doubt, both = sorted(owners, key=lambda one: one.organization_id)
    for owner in (in_doubt, both):
        await put(fresh_runtime, owner)
        await outbox_of(fresh_runtime, ModelMailer(outcome="failed before")).send_due(owner)
    for owner in (due, both):
        await put(fresh_runtime, owner)
    page = await find_outbox(fresh_runtime.system, FIRST)
    send, reconcile = (
        {each.organization_id for each in page.jobs if isinstance(each, job)} for job in (SendOutbox, ReconcileOutbox)
    )
    assert send == {due.organization_id, both.organization_id}
    assert reconcile == {in_doubt.organization_id, both.organization_id}
    assert page.after is None
    needs = [
        MailNeeds(due.organization_id, send=True, reconcile=False),
        MailNeeds(in_doubt.organization_id, send=False, reconcile=True),
        MailNeeds(both.organization_id, send=True, reconcile=True),
    ]
    assert await organizations_with_mail(fresh_runtime.system, FIRST, 2) == needs[:2]
    assert await organizations_with_mail(fresh_runtime.system, in_doubt.organization_id, 2) == needs[2:]


class FailingSearch(ModelMailer):
    """A provider that accepts messages, and whose search fails."""

    searches = 0

    async def search_batch(self, batch_id: str, stream: Stream = Stream.BROADCAST) -> Mapping[str, str]:
        """Count the search, and fail."""
        FailingSearch.searches += 1
        return await super().search_batch(batch_id, stream)


async def test_due_mail_does_not_wait_for_lookups(runtime: Runtime) -> None:
    """A provider whose search fails is searched once a run, and due messages are sent."""
    owner = await factories.organization(runtime)
    for _ in range(3):
        await put(runtime, owner)
        await outbox_of(runtime, ModelMailer(outcome="failed before")).send_due(owner)
    await expire_all(runtime, owner)
    await put(runtime, owner)
    sender = outbox_of(runtime, FailingSearch(search_fails=True))
    await sender.send_due(owner)
    assert await statuses(runtime, owner) == [UNKNOWN, UNKNOWN, UNKNOWN, ACCEPTED]
    assert FailingSearch.searches == 0
    await sender.reconcile(owner)
    assert FailingSearch.searches == 1


async def test_a_lookup_that_outlasts_its_reservation_has_no_effect(runtime: Runtime) -> None:
    """Another worker has reserved the message since: its lookup counts."""
    owner = await factories.organization(runtime)
    await put(runtime, owner)
    await outbox_of(runtime, ModelMailer(outcome="failed before")).send_due(owner)
    reserved = []
    for _ in range(2):
        await expire_all(runtime, owner)
        async with runtime.work.begin(owner) as uow:
            reserved.append(await reserve_due(uow))
    for lookup, lookups in zip(reserved, (0, 1), strict=True):
        assert lookup is not None
        async with runtime.work.begin(owner) as uow:
            await record_lookup(uow, lookup, {}, grace_seconds=0)
        assert [row.lookups for row in await rows(runtime, owner)] == [lookups]


async def test_one_message_reserves_one_of_the_rate(runtime: Runtime) -> None:
    """Other mail of the account does not wait for the rest of a full round."""
    owner = await factories.organization(runtime)
    await put(runtime, owner)
    mailer = RecordingMailer(limits=replace(UNLIMITED, messages_per_second=20))
    ahead: list[float] = []

    async def compose(uow: object, item: OutboxItem) -> ComposedMail:
        ahead.append(await reserve(runtime.system, mailer.account, 0, 20))
        return await compose_plain(uow, item)  # type: ignore[arg-type]

    await outbox_of(runtime, mailer, compose).send_due(owner)
    assert len(mailer.sent) == 1
    assert max(ahead) < 0.5


@pytest.mark.parametrize(("rate", "size"), [(5, 5), (1_000, 20), (0, 20)])
async def test_a_round_has_at_most_the_rate_or_twenty_messages(runtime: Runtime, rate: int, size: int) -> None:
    """However many are due: a burst neither waits for more than a second, nor delays other mail of the account."""
    owner = await factories.organization(runtime)
    await put(runtime, owner, 21)
    mailer = RecordingMailer(limits=replace(UNLIMITED, messages_per_second=rate))
    mailer.account = f"account-{new_id()}"
    assert await outbox_of(runtime, mailer).send_round(owner)
    assert len(mailer.sent) == size


async def test_expired_messages_use_nothing_of_the_rate(runtime: Runtime) -> None:
    """Their reservations are returned, so that other mail of the account does not wait."""
    owner = await factories.organization(runtime)
    await put(runtime, owner, 20, expires_in=timedelta(0))
    mailer = RecordingMailer(limits=replace(UNLIMITED, messages_per_second=20))
    await outbox_of(runtime, mailer).send_due(owner)
    assert await statuses(runtime, owner) == [OutboxStatus.FAILED] * 20
    assert await reserve(runtime.system, mailer.account, 0, 20) < 0.5


class OutageMailer(RecordingMailer):
    """A provider during whose response the database becomes unavailable for a moment."""

    def __init__(self, relay: Relay) -> None:
        super().__init__()
        self.relay = relay

    async def send(self, header: BatchHeader, messages: Sequence[Message], *, not_after: float) -> Outcome:
        """Accept, and cut the connections to the database."""
        outcome = await super().send(header, messages, not_after=not_after)
        self.relay.disconnect()
        asyncio.get_running_loop().call_later(0.5, self.reopen)
        return outcome

    def reopen(self) -> None:
        """Restore the connections to the database."""
        self.opening = asyncio.create_task(self.relay.open())


async def test_an_outcome_is_recorded_after_an_outage(servers: Servers) -> None:
    """The run retries, so that the message is not left in doubt."""
    async with relayed(servers) as (relay, settings), running(settings) as runtime:
        owner = await factories.organization(runtime)
        await put(runtime, owner)
        with capture_logs() as logs:
            await outbox_of(runtime, OutageMailer(relay)).send_due(owner)
        assert await statuses(runtime, owner) == [ACCEPTED]
        assert "batch not recorded yet" in [line["event"] for line in logs]
