"""Events that cannot be applied yet: retried after a pause, abandoned after days, and delaying no others."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select, update
from structlog.testing import capture_logs

from cancellation.backoff import Backoff
from core.access.actor import Actor
from core.ids import new_id
from core.unit_of_work import Work
from integrations.mail_events import MailEvent, Payload
from integrations.postmark.webhooks import PostmarkWebhooks
from jobs.webhooks import find_events
from models.deliveries import DeliveryStatus, EmailDelivery
from models.webhooks import WebhookInbox
from runtime import Runtime
from services.webhooks import applying
from services.webhooks.applying import MAX_ATTEMPTS, apply_pages
from services.webhooks.attributing import BACKOFF, attribute_events, organizations_with_events
from services.webhooks.work import ApplyEvents
from tests import factories
from tests.deliveries.worker import statuses
from tests.execution.company import Outbox
from tests.inbox import deliver

FIRST = UUID(int=0)


async def waiting_events(runtime: Runtime, *kinds: str) -> tuple[Actor, UUID]:
    """An organization with a campaign's accepted delivery, and events of it that wait to be applied."""
    owner = await factories.organization(runtime)
    [contact_id] = await factories.contacts(runtime, owner, 1)
    campaign_id = await factories.campaign(runtime, owner)
    accepted = DeliveryStatus.ACCEPTED
    delivery_id = await factories.delivery(runtime, owner, campaign_id, contact_id, status=accepted)
    ids = {"campaign": str(campaign_id), "delivery": str(delivery_id)}
    for kind in kinds:
        await deliver(runtime, {"RecordType": kind, "MessageID": f"{kind} {delivery_id}", "Metadata": ids})
    await attribute_events(runtime.system)
    return owner, campaign_id


async def inbox(runtime: Runtime, owner: Actor) -> list[Any]:
    """The organization's events, with the seconds until each is due."""
    pause = func.extract("epoch", WebhookInbox.due_at - func.clock_timestamp()).label("pause")
    statement = select(WebhookInbox.attempts, WebhookInbox.outcome, WebhookInbox.applied_at, pause)
    return list(await runtime.reads(owner.tenant).rows(statement.order_by(WebhookInbox.id)))


async def change(runtime: Runtime, owner: Actor, **values: object) -> None:
    """Change the organization's events."""
    async with runtime.work.begin(owner) as uow:
        await uow.execute(update(WebhookInbox).values(**values))


async def test_a_failed_event_is_retried_after_a_pause(runtime: Runtime) -> None:
    """However often the inbox is applied, there is no attempt before it is due."""
    owner, campaign_id = await waiting_events(runtime, "Delivery")
    for _ in range(3):
        assert await apply_pages(runtime.work, owner, {}) == 0
    [event] = await inbox(runtime, owner)
    assert (event.attempts, event.outcome, event.applied_at) == (1, "failed: KeyError", None)
    assert 0 < event.pause <= BACKOFF.initial
    assert owner.organization_id not in await organizations_with_events(runtime.system, FIRST, 10_000)
    await change(runtime, owner, due_at=func.now())
    assert await apply_pages(runtime.work, owner, runtime.webhooks) == 1
    assert list((await statuses(runtime, owner, campaign_id)).values()) == [DeliveryStatus.DELIVERED]


async def test_an_event_is_abandoned_after_days_with_a_log_line(runtime: Runtime) -> None:
    """The attempts before the last take more than two days; the last is logged as an error."""
    shortest = sum(min(BACKOFF.maximum, BACKOFF.initial * 2.0**number) / 2 for number in range(MAX_ATTEMPTS - 1))
    assert shortest > 2 * 86_400
    owner, _ = await waiting_events(runtime, "Delivery")
    await change(runtime, owner, attempts=MAX_ATTEMPTS - 2)
    with capture_logs() as logs:
        await apply_pages(runtime.work, owner, {})
        [event] = await inbox(runtime, owner)
        assert event.applied_at is None
        assert BACKOFF.initial < event.pause <= BACKOFF.maximum
        assert "event abandoned" not in [line["event"] for line in logs]
        await change(runtime, owner, due_at=func.now())
        await apply_pages(runtime.work, owner, {})
    [event] = await inbox(runtime, owner)
    assert (event.applied_at is None, event.attempts) == (False, MAX_ATTEMPTS)
    [line] = [line for line in logs if line["event"] == "event abandoned"]
    assert (line["log_level"], line["organization_id"]) == ("error", str(owner.organization_id))


class SlowWebhooks(PostmarkWebhooks):
    """Postmark's events, of which one kind ends like a statement timeout."""

    def read(self, payload: Payload) -> MailEvent:
        """Parse an event, or raise `TimeoutError` for an open."""
        if payload["RecordType"] == "Open":
            raise TimeoutError
        return super().read(payload)


async def test_an_event_that_takes_too_long_does_not_delay_others(runtime: Runtime) -> None:
    """Its timeout counts as its own failure; the events after it are applied in the same run."""
    owner, campaign_id = await waiting_events(runtime, "Open", "Delivery")
    postmark = runtime.webhooks["postmark"]
    assert isinstance(postmark, PostmarkWebhooks)
    await apply_pages(
        runtime.work, owner, {"postmark": SlowWebhooks(username="", password=None, stream=postmark.stream)}
    )
    assert [event.outcome for event in await inbox(runtime, owner)] == ["failed: TimeoutError", "applied"]
    assert list((await statuses(runtime, owner, campaign_id)).values()) == [DeliveryStatus.DELIVERED]


async def test_a_failed_event_counts_no_attempt_of_others(runtime: Runtime) -> None:
    """Nor of an event that is not due yet, nor of one that was applied before."""
    owner, campaign_id = await waiting_events(runtime, "Delivery")
    await apply_pages(runtime.work, owner, runtime.webhooks)
    columns = WebhookInbox.__table__.c
    events = select(*columns).order_by(columns.id)
    reads = runtime.reads(owner.tenant)
    for kind in ("Click", "Open", "Click"):
        await deliver(
            runtime, {"RecordType": kind, "MessageID": f"{new_id()}", "Metadata": {"campaign": str(campaign_id)}}
        )
    await attribute_events(runtime.system)
    applied, waits, *_ = await reads.rows(events)
    later = func.now() + timedelta(hours=1)
    async with runtime.work.begin(owner) as uow:
        await uow.execute(update(WebhookInbox).where(WebhookInbox.id == waits.id).values(due_at=later))
    before = await reads.rows(events)
    postmark = runtime.webhooks["postmark"]
    assert isinstance(postmark, PostmarkWebhooks)
    slow = SlowWebhooks(username="", password=None, stream=postmark.stream)
    await apply_pages(runtime.work, owner, {"postmark": slow})
    after = await reads.rows(events)
    assert after[:2] == before[:2]
    assert [(row.attempts, row.outcome) for row in after] == [
        (0, "applied"),
        (0, None),
        (1, "failed: TimeoutError"),
        (0, "no such delivery"),
    ]
    assert applied.applied_at is not None


async def test_the_longest_due_are_applied_first(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    """Page by page until nothing is due: postponed events follow newer ones."""
    monkeypatch.setattr(applying, "PAGE", 1)
    owner, _ = await waiting_events(runtime, "Delivery", "Open", "Click")
    earlier = func.now() - timedelta(hours=1)
    async with runtime.work.begin(owner) as uow:
        last = select(WebhookInbox.id).order_by(WebhookInbox.id.desc()).limit(1).scalar_subquery()
        await uow.execute(update(WebhookInbox).where(WebhookInbox.id == last).values(due_at=earlier))
    assert await applying.apply_page(runtime.work, owner, runtime.webhooks) == 1
    assert [event.outcome for event in await inbox(runtime, owner)] == [None, None, "applied"]
    assert await apply_pages(runtime.work, owner, runtime.webhooks) == 2


async def test_each_organization_has_a_job_of_its_own(fresh_runtime: Runtime) -> None:
    """The search finds those with due events, page by page in the order of their ids."""
    owners = sorted(
        [(await waiting_events(fresh_runtime, "Delivery"))[0] for _ in range(3)], key=lambda one: one.organization_id
    )
    ids = [owner.organization_id for owner in owners]
    page = await find_events(fresh_runtime.system, FIRST)
    assert page.jobs == [ApplyEvents(organization_id=each) for each in ids]
    assert await organizations_with_events(fresh_runtime.system, FIRST, 2) == ids[:2]
    assert await organizations_with_events(fresh_runtime.system, ids[1], 2) == ids[2:]
    await apply_pages(fresh_runtime.work, owners[0], fresh_runtime.webhooks)
    assert await organizations_with_events(fresh_runtime.system, FIRST, 10) == ids[1:]


async def test_the_rest_of_a_long_run_is_enqueued(runtime: Runtime) -> None:
    """A run whose time is up applies nothing more: other organizations get their turn, and then it continues."""
    owner, _ = await waiting_events(runtime, "Delivery")
    outbox = Outbox()
    work = Work(runtime.engine, outbox, outbox)
    assert await apply_pages(work, owner, runtime.webhooks, within_seconds=0) == 0
    job = ApplyEvents(organization_id=owner.organization_id)
    assert outbox.sent == [{"job": job.name, **job.payload()}]
    assert owner.organization_id in await organizations_with_events(runtime.system, FIRST, 10_000)


async def test_attempts_to_attribute_an_event_do_not_count_for_applying(
    fresh_runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once it is attributed, the event has all its attempts to be applied."""
    monkeypatch.setattr("services.webhooks.attributing.BACKOFF", Backoff(initial=0.0, maximum=0.0))
    owner, campaign_id = await waiting_events(fresh_runtime)
    await deliver(fresh_runtime, {"RecordType": "Delivery", "MessageID": "soon"})
    for _ in range(3):
        assert await attribute_events(fresh_runtime.system) == set()
    async with fresh_runtime.work.begin(owner) as uow:
        await uow.execute(
            update(EmailDelivery).where(EmailDelivery.campaign_id == campaign_id).values(message_id="soon")
        )
    assert await attribute_events(fresh_runtime.system) == {owner.organization_id}
    assert [event.attempts for event in await inbox(fresh_runtime, owner)] == [0]


async def test_an_unattributed_event_waits_until_it_is_due(fresh_runtime: Runtime) -> None:
    """It waits for its next attempt, although its message exists before."""
    owner, campaign_id = await waiting_events(fresh_runtime)
    await deliver(fresh_runtime, {"RecordType": "Delivery", "MessageID": "soon"})
    assert await attribute_events(fresh_runtime.system) == set()
    async with fresh_runtime.work.begin(owner) as uow:
        await uow.execute(
            update(EmailDelivery).where(EmailDelivery.campaign_id == campaign_id).values(message_id="soon")
        )
    assert await attribute_events(fresh_runtime.system) == set()
    await deliver(fresh_runtime, {"RecordType": "Open", "MessageID": "soon"})
    assert await attribute_events(fresh_runtime.system) == {owner.organization_id}
