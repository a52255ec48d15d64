"""The number of statements of each change of a campaign, including the one that sets the tenant."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import update

from core.access.actor import Actor
from core.unit_of_work import UnitOfWork
from models.campaigns import Campaign, CampaignStatus
from runtime import Runtime
from services.campaigns import drafting, lifecycle, sending
from services.campaigns.audience import AudienceInput
from services.senders.policy import SenderPolicy
from tests import factories
from tests.statements import statements

Act = Callable[[UnitOfWork, UUID, SenderPolicy], Awaitable[object]]
TOMORROW = datetime.now(UTC) + timedelta(days=1)


async def campaign_in(runtime: Runtime, owner: Actor, status: CampaignStatus) -> UUID:
    """A campaign that can be sent, with that status."""
    campaign_id = await factories.campaign(runtime, owner)
    async with runtime.work.begin(owner) as uow:
        await uow.execute(update(Campaign).where(Campaign.id == campaign_id).values(status=status))
    return campaign_id


CHANGES: dict[str, tuple[CampaignStatus, int, Act]] = {
    # Tenant, campaign with its texts, whether any contact is mailable, sender, transition, audit record.
    "send": (CampaignStatus.DRAFT, 6, lambda uow, one, policy: sending.send(uow, one, policy=policy)),
    # In addition the idempotency key.
    "send with a key": (
        CampaignStatus.DRAFT,
        7,
        lambda uow, one, policy: sending.send(uow, one, policy=policy, idempotency_key=str(one)),
    ),
    "schedule": (
        CampaignStatus.DRAFT,
        6,
        lambda uow, one, policy: sending.schedule(uow, one, TOMORROW, policy=policy),
    ),
    # Tenant, transition, audit record.
    "unschedule": (CampaignStatus.SCHEDULED, 3, lambda uow, one, _: sending.unschedule(uow, one)),
    "pause": (CampaignStatus.SENDING, 3, lambda uow, one, _: sending.pause(uow, one)),
    "resume": (CampaignStatus.PAUSED, 3, lambda uow, one, policy: sending.resume(uow, one, policy=policy)),
    "cancel": (CampaignStatus.SENDING, 3, lambda uow, one, _: sending.cancel(uow, one)),
    # Tenant, campaign with its counters, audience, audit record.
    "create": (
        CampaignStatus.DRAFT,
        4,
        lambda uow, _one, _: drafting.create(uow, {"name": "A", "audience": AudienceInput(all=True)}),
    ),
    "duplicate": (CampaignStatus.DRAFT, 4, lambda uow, one, _: drafting.duplicate(uow, one)),
    "delete": (CampaignStatus.DRAFT, 4, lambda uow, one, _: drafting.delete(uow, one)),
    # Tenant, change, audit record.
    "archive": (CampaignStatus.SENT, 3, lambda uow, one, _: lifecycle.archive(uow, one, archived=True)),
    # Tenant, change, audit record; before it the texts, if one of them changes.
    "update of the name": (CampaignStatus.DRAFT, 3, lambda uow, one, _: drafting.update(uow, one, {"name": "B"})),
    "update of a text": (CampaignStatus.DRAFT, 4, lambda uow, one, _: drafting.update(uow, one, {"subject": "B"})),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_a_change_takes_few_statements(runtime: Runtime, change: str) -> None:
    """Rows that a statement has returned are not read again."""
    owner = await factories.organization(runtime)
    await factories.contacts(runtime, owner, 1)
    await factories.sender(runtime, owner, default=True)
    status, expected, act = CHANGES[change]
    campaign_id = await campaign_in(runtime, owner, status)
    with statements(runtime) as queries:
        async with runtime.work.begin(owner) as uow:
            await act(uow, campaign_id, runtime.sender_policy)
    assert len(queries) == expected, [statement for statement, _ in queries]
