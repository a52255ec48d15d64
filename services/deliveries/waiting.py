"""The status reason of a campaign that waits because sending is switched off in the installation."""

from typing import Final
from uuid import UUID

from sqlalchemy import update

from core.pubsub import campaign_topic
from core.unit_of_work import UnitOfWork
from models.campaigns import Campaign, CampaignStatus
from services.campaigns.lifecycle import with_sequence_increment

SENDING_IS_OFF: Final = (
    "Sending is disabled in this installation. The campaign continues when sending is enabled again."
)
_WAITING_STATUSES: Final = (
    CampaignStatus.SCHEDULED,
    CampaignStatus.SENDING,
    CampaignStatus.PAUSED,
    CampaignStatus.CANCELLING,
)


async def set_waiting_reason(uow: UnitOfWork, campaign_id: UUID, reason: str | None, *, waits: bool) -> None:
    """Append the sentence to the status reason of a campaign that waits, or remove it from one that does not.

    `reason` is the status reason as the caller has read it; if it was changed meanwhile, it stays as it is.
    """
    if waits == is_waiting_reason(reason):
        return
    others = (reason or "").removesuffix(SENDING_IS_OFF).rstrip()
    new_reason = f"{others} {SENDING_IS_OFF}".lstrip() if waits else others or None
    changed = (
        update(Campaign)
        .where(
            Campaign.organization_id == uow.tenant.organization_id,
            Campaign.id == campaign_id,
            Campaign.status.in_([str(status) for status in _WAITING_STATUSES]),
            Campaign.status_reason.is_not_distinct_from(reason),
        )
        .values(status_reason=new_reason)
        .returning(Campaign.id)
        .cte("changed")
    )
    if await uow.rows(with_sequence_increment(changed, uow.tenant.organization_id)):
        uow.publish(campaign_topic(uow.tenant.organization_id, campaign_id))


def is_waiting_reason(reason: str | None) -> bool:
    """Whether a status reason has the sentence that `set_waiting_reason` appends."""
    return reason is not None and reason.endswith(SENDING_IS_OFF)
