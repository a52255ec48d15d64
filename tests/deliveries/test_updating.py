"""Several events of one message, applied together."""

from datetime import UTC, datetime, timedelta
from itertools import permutations

from sqlalchemy import select, update

from core.database.clock import now_plus
from core.ids import new_id
from core.pubsub import campaign_topic
from models.deliveries import DeliveryStatus, EmailDelivery
from runtime import Runtime
from services.deliveries.updating import RANKS, DeliveryUpdate, apply_updates
from tests.deliveries.worker import sending

AT = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
LATER = AT + timedelta(hours=1)


def test_a_status_only_advances() -> None:
    """The furthest status stays, in any order of the events."""
    for order in permutations(RANKS):
        updates = DeliveryUpdate()
        for status in order:
            updates.advance_to(status)
        assert updates.status is DeliveryStatus.COMPLAINED


def test_the_earliest_time_stays() -> None:
    """Of two times of one kind the earlier one is stored, in any order of the events."""
    for order in ((AT, AT + timedelta(hours=1)), (AT + timedelta(hours=1), AT)):
        updates = DeliveryUpdate()
        for at in order:
            updates.set_earliest("opened_at", at)
        assert updates.opened_at == AT


async def test_an_event_accepts_an_open_delivery(runtime: Runtime) -> None:
    """It is accepted, at the time of its submission if none is known; its lease and lookups end."""
    actor, _, campaign_id = await sending(runtime, 4)
    columns = EmailDelivery.__table__.c
    query = select(*columns).order_by(columns.id)
    reads = runtime.reads(actor.tenant)
    leased, unknown, accepted, other = [row.id for row in await reads.rows(query)]
    values: dict[object, dict[str, object]] = {
        leased: {"status": "submitting", "submitted_at": AT, "lease_token": new_id(), "lease_until": now_plus(60)},
        unknown: {"status": "unknown", "submitted_at": AT, "next_lookup_at": now_plus(60)},
        accepted: {"status": "accepted", "submitted_at": AT, "accepted_at": LATER, "message_id": "known"},
    }
    async with runtime.work.begin(actor) as uow:
        for delivery_id, some in values.items():
            await uow.execute(update(EmailDelivery).where(EmailDelivery.id == delivery_id).values(**some))
    before = (await reads.rows(query))[3]
    updates = {
        one: DeliveryUpdate(status=DeliveryStatus.DELIVERED, message_id=f"message {one}", delivered_at=LATER)
        for one in (accepted, unknown, leased)
    }
    async with runtime.work.begin(actor) as uow:
        await apply_updates(uow, campaign_id, {})
        assert uow.signals == {}
        await apply_updates(uow, campaign_id, updates)
        assert list(uow.signals) == [campaign_topic(actor.organization_id, campaign_id)]
    *after, last = await reads.rows(query)
    assert [(row.message_id, row.accepted_at) for row in after] == [
        (f"message {leased}", AT),
        (f"message {unknown}", AT),
        ("known", LATER),
    ]
    ends = {(row.status, row.delivered_at, row.lease_token, row.lease_until, row.next_lookup_at) for row in after}
    assert ends == {(DeliveryStatus.DELIVERED, LATER, None, None, None)}
    assert (last.id, last) == (other, before)
