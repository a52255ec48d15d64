"""What a campaign tells while it waits for a mail provider that the installation has not."""

from typing import Final
from uuid import UUID

from sqlalchemy import update

from core.pubsub import campaign_topic
from core.unit_of_work import UnitOfWork
from models.campaigns import Campaign, CampaignStatus

SENDING_IS_OFF: Final = (
    "Sending is switched off in this installation. The campaign goes on when it is switched on again."
)


async def explain_waiting(uow: UnitOfWork, campaign_id: UUID, reason: str | None, *, waits: bool) -> None:
    """Let a campaign that waits for the mail provider say so, and one that goes on forget it.

    `reason` is what it tells so far; another one, which somebody has given it meanwhile, is left alone.
    """
    if waits == (reason == SENDING_IS_OFF):
        return
    result = await uow.execute(
        update(Campaign)
        .where(
            Campaign.organization_id == uow.tenant.organization_id,
            Campaign.id == campaign_id,
            Campaign.status.in_([str(CampaignStatus.SCHEDULED), str(CampaignStatus.SENDING)]),
            Campaign.status_reason.is_not_distinct_from(reason),
        )
        .values(status_reason=SENDING_IS_OFF if waits else None)
    )
    if result.rowcount:
        uow.publish(campaign_topic(uow.tenant.organization_id, campaign_id))
