"""What a campaign tells while it waits for a mail provider that the installation has not."""

from typing import Final
from uuid import UUID

from sqlalchemy import update

from core.pubsub import campaign_topic
from core.unit_of_work import UnitOfWork
from models.campaigns import Campaign, CampaignStatus
from services.campaigns.lifecycle import and_announce

SENDING_IS_OFF: Final = (
    "Sending is switched off in this installation. The campaign goes on when it is switched on again."
)


WAITS_IN: Final = (
    CampaignStatus.SCHEDULED,
    CampaignStatus.SENDING,
    CampaignStatus.PAUSED,
    CampaignStatus.CANCELLING,
)


async def explain_waiting(uow: UnitOfWork, campaign_id: UUID, reason: str | None, *, waits: bool) -> None:
    """Let a campaign that waits for the mail provider say so, after its other reason; one that goes on forgets it.

    `reason` is what it tells so far; another one, which somebody has given it meanwhile, is left alone.
    """
    if waits == tells_waiting(reason):
        return
    others = (reason or "").removesuffix(SENDING_IS_OFF).rstrip()
    told = f"{others} {SENDING_IS_OFF}".lstrip() if waits else others or None
    changed = (
        update(Campaign)
        .where(
            Campaign.organization_id == uow.tenant.organization_id,
            Campaign.id == campaign_id,
            Campaign.status.in_([str(status) for status in WAITS_IN]),
            Campaign.status_reason.is_not_distinct_from(reason),
        )
        .values(status_reason=told)
        .returning(Campaign.id)
        .cte("changed")
    )
    if await uow.rows(and_announce(changed, uow.tenant.organization_id)):
        uow.publish(campaign_topic(uow.tenant.organization_id, campaign_id))


def tells_waiting(reason: str | None) -> bool:
    """Whether what a campaign tells says that it waits for the mail provider."""
    return reason is not None and reason.endswith(SENDING_IS_OFF)
