"""The status reason of a campaign that waits because sending is disabled in the installation."""

from typing import Final
from uuid import UUID

from sqlalchemy import update

from core.pubsub import campaign_topic
from core.unit_of_work import UnitOfWork
from models.campaigns import Campaign, CampaignStatus
from services.campaigns.lifecycle import with_sequence_increment

SENDING_DISABLED_REASON: Final = (
    "Sending is disabled in this installation. The campaign continues when sending is enabled again."
)
_WAITING_STATUSES: Final = (
    CampaignStatus.SCHEDULED,
    CampaignStatus.SENDING,
    CampaignStatus.PAUSED,
    CampaignStatus.CANCELLING,
)


async def set_waiting_reason(uow: UnitOfWork, campaign_id: UUID, reason: str | None, *, is_waiting: bool) -> None:
    """Append `SENDING_DISABLED_REASON` to the status reason of a waiting campaign, or remove it from any other.

    `reason` is the status reason as the caller has read it; if it has changed since, it stays unchanged.
    """
    if is_waiting == is_waiting_reason(reason):
        return
    rest = (reason or "").removesuffix(SENDING_DISABLED_REASON).rstrip()
    new_reason = f"{rest} {SENDING_DISABLED_REASON}".lstrip() if is_waiting else rest or None
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
    """Whether a status reason ends with `SENDING_DISABLED_REASON`."""
    return reason is not None and reason.endswith(SENDING_DISABLED_REASON)
