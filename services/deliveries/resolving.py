"""A person decides about a message of which nobody knows whether it was sent."""

from typing import Any, Final
from uuid import UUID

from sqlalchemy import func, update

from core.errors import Conflict, ErrorCode
from core.unit_of_work import UnitOfWork
from models.campaigns import RESOLUTION_TRANSITIONS, CampaignStatus
from models.deliveries import DeliveryResolution, DeliveryStatus, EmailDelivery
from services import audit
from services.deliveries.issues import summarize_issues
from services.deliveries.listing import COLUMNS, DELIVERY_FIELD, DeliveryRow, require
from services.deliveries.states import lock_campaign, move
from services.deliveries.work import AdvanceCampaign, SendBatches

IN_DOUBT: Final = frozenset({DeliveryStatus.UNKNOWN, DeliveryStatus.FAILED})
ENDED_BY_A_PERSON: Final = frozenset({CampaignStatus.CANCELLING, CampaignStatus.CANCELLED})
DECIDED_NOT_SENT: Final = "A person decided that it was not sent."
CHANGES: Final[dict[DeliveryResolution, dict[str, Any]]] = {
    DeliveryResolution.SENT: {
        "status": str(DeliveryStatus.ACCEPTED),
        "accepted_at": func.coalesce(EmailDelivery.submitted_at, func.clock_timestamp()),
        "error_message": None,
    },
    DeliveryResolution.NOT_SENT: {"status": str(DeliveryStatus.FAILED), "error_message": DECIDED_NOT_SENT},
    DeliveryResolution.SEND_AGAIN: {
        "status": str(DeliveryStatus.PENDING),
        "batch_id": None,
        "submitted_at": None,
        "error_message": None,
    },
}


class DeliveryNotInDoubt(Conflict):
    """The delivery, or its campaign, is not in a state in which a person can decide this."""

    code = ErrorCode.INVALID_STATE


async def resolve(uow: UnitOfWork, delivery_id: UUID | None, resolution: DeliveryResolution) -> DeliveryRow:
    """Settle a delivery that is `unknown` or `failed`, and give it back as it is then.

    `sent` makes it accepted, `not_sent` failed; `send_again` makes it pending, to go out in a new batch, for which a
    campaign that had ended is `sending` again. Raises `NotFound` and `DeliveryNotInDoubt`.
    """
    found = await require(uow, delivery_id)
    campaign = await lock_campaign(uow, found.campaign_id)
    if resolution is DeliveryResolution.SEND_AGAIN and campaign in ENDED_BY_A_PERSON:
        raise DeliveryNotInDoubt(
            f"The campaign is {campaign}, so that nothing more is sent of it.",
            field=("input", "as"),
            suggestion="Decide SENT or NOT_SENT, or send the contact a copy of the campaign (`duplicateCampaign`).",
        )
    row = await change(uow, found, resolution)
    await audit.record(
        uow,
        "delivery.resolved",
        found.id,
        {"campaign": str(found.campaign_id), "from": found.status, "as": str(resolution)},
    )
    await follow(uow, found.campaign_id, campaign, resolution)
    return row


async def change(uow: UnitOfWork, found: DeliveryRow, resolution: DeliveryResolution) -> DeliveryRow:
    """Change the row where it is still in doubt; raises `DeliveryNotInDoubt` where it is not, or no longer."""
    rows = await uow.rows(
        update(EmailDelivery)
        .where(
            EmailDelivery.organization_id == uow.tenant.organization_id,
            EmailDelivery.campaign_id == found.campaign_id,
            EmailDelivery.id == found.id,
            EmailDelivery.status.in_([str(status) for status in IN_DOUBT]),
        )
        .values(lookups=0, next_lookup_at=None, lease_token=None, lease_until=None, **CHANGES[resolution])
        .returning(*COLUMNS)
    )
    if not rows:
        now = await require(uow, found.id)
        raise DeliveryNotInDoubt(
            f"The delivery is {now.status}.",
            field=DELIVERY_FIELD,
            suggestion="Only a delivery that is UNKNOWN or FAILED can be resolved.",
        )
    return DeliveryRow._make(rows[0])


async def follow(
    uow: UnitOfWork, campaign_id: UUID, campaign: CampaignStatus | None, resolution: DeliveryResolution
) -> None:
    """What the decision means for the campaign, which is locked: it sends again, or its summary changes."""
    organization_id = uow.tenant.organization_id
    if resolution is DeliveryResolution.SEND_AGAIN:
        if campaign is CampaignStatus.SENT_WITH_ISSUES:
            await move(uow, campaign_id, CampaignStatus.SENDING, transitions=RESOLUTION_TRANSITIONS, sent_at=None)
        uow.enqueue(SendBatches(organization_id=organization_id, campaign_id=campaign_id))
    elif campaign is CampaignStatus.SENT_WITH_ISSUES:
        reason = await summarize_issues(uow, campaign_id)
        end = CampaignStatus.SENT_WITH_ISSUES if reason else CampaignStatus.SENT
        await move(uow, campaign_id, end, reason=reason, transitions=RESOLUTION_TRANSITIONS)
    else:
        uow.enqueue(AdvanceCampaign(organization_id=organization_id, campaign_id=campaign_id))
