"""A person decides about a message of which nobody knows whether it was sent."""

from typing import Any, Final
from uuid import UUID

from sqlalchemy import func, update

from core.errors import Conflict, ErrorCode
from core.leases import RELEASED
from core.pubsub import campaign_topic
from core.unit_of_work import UnitOfWork
from models.campaigns import CampaignStatus
from models.deliveries import DeliveryResolution, DeliveryStatus, EmailDelivery
from services import audit
from services.campaigns import lifecycle
from services.campaigns.listing import CAMPAIGNS, CampaignRow
from services.campaigns.work import AdvanceCampaign, SendBatches
from services.deliveries.batch_sql import of_campaign
from services.deliveries.issues import summarize_issues
from services.deliveries.listing import DELIVERIES, DeliveryRow
from services.features import Feature
from services.senders import policy as sender_policy
from services.senders.policy import SenderNotConfirmed, SenderPolicy

IN_DOUBT: Final = frozenset({DeliveryStatus.UNKNOWN, DeliveryStatus.FAILED})
ENDED_BY_A_PERSON: Final = frozenset({CampaignStatus.CANCELLING, CampaignStatus.CANCELLED})
AS_FIELD: Final = ("input", "as")
DECIDE_OR_COPY: Final = "Decide SENT or NOT_SENT, or send the contact a copy of the campaign (`duplicateCampaign`)."
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


class DeliveryNotResolvable(Conflict):
    """The delivery, or its campaign, is not in a state in which a person can decide this."""

    code = ErrorCode.INVALID_STATE


async def resolve(
    uow: UnitOfWork, delivery_id: UUID | None, resolution: DeliveryResolution, *, policy: SenderPolicy
) -> tuple[DeliveryRow, CampaignRow]:
    """Settle a delivery that is `unknown` or `failed`; it and its campaign as they are then.

    `sent` makes it accepted, `not_sent` failed; `send_again` makes it pending, to go out in a new batch, for which a
    campaign that had ended is `sending` again. Raises `NotFound`, `DeliveryNotResolvable`, and for sending it again
    `FeatureUnavailable`, or `SenderNotConfirmed` where the sender was deleted.
    """
    if resolution is DeliveryResolution.SEND_AGAIN:
        policy.features.require(Feature.SENDING)
    found = await DELIVERIES.require(uow, delivery_id)
    if resolution is DeliveryResolution.SEND_AGAIN:
        # Before the campaign is locked, in the order in which deleting a sender locks both.
        await hold_sender(uow, await CAMPAIGNS.require(uow, found.campaign_id), policy)
    campaign = await lifecycle.lock(uow, found.campaign_id)
    if campaign is None:
        raise CAMPAIGNS.not_found()
    if resolution is DeliveryResolution.SEND_AGAIN and campaign.status in ENDED_BY_A_PERSON:
        raise DeliveryNotResolvable(
            f"The campaign is {campaign.status}, so that nothing more is sent of it.",
            field=AS_FIELD,
            suggestion=DECIDE_OR_COPY,
        )
    row = await change(uow, found, resolution)
    uow.publish(campaign_topic(uow.tenant.organization_id, found.campaign_id))
    await audit.record(
        uow,
        "delivery.resolved",
        found.id,
        {"campaign": str(found.campaign_id), "from": found.status, "as": str(resolution)},
    )
    return row, await follow(uow, campaign, resolution)


async def hold_sender(uow: UnitOfWork, campaign: CampaignRow, policy: SenderPolicy) -> None:
    """Keep the campaign's sender from being deleted; raises `SenderNotConfirmed` when it was."""
    chosen = sender_policy.settled(policy, campaign.from_header, campaign.from_sender_id)
    if chosen is not None:
        await sender_policy.hold(uow, chosen)
    elif policy.confirmed_only:
        raise SenderNotConfirmed("The sender of the campaign was deleted.", field=AS_FIELD, suggestion=DECIDE_OR_COPY)


async def change(uow: UnitOfWork, found: DeliveryRow, resolution: DeliveryResolution) -> DeliveryRow:
    """Change the row while it is `unknown` or `failed`; raises `DeliveryNotResolvable` when it is not."""
    rows = await uow.rows(
        update(EmailDelivery)
        .where(
            *of_campaign(uow.tenant.organization_id, found.campaign_id),
            EmailDelivery.id == found.id,
            EmailDelivery.status.in_([str(status) for status in IN_DOUBT]),
        )
        .values(lookups=0, next_lookup_at=None, **RELEASED, **CHANGES[resolution])
        .returning(*DELIVERIES.columns)
    )
    if not rows:
        now = await DELIVERIES.require(uow, found.id)
        raise DeliveryNotResolvable(
            f"The delivery is {now.status}.",
            field=DELIVERIES.id_field,
            suggestion="Only a delivery that is UNKNOWN or FAILED can be resolved.",
        )
    return DeliveryRow._make(rows[0])


async def follow(uow: UnitOfWork, campaign: CampaignRow, resolution: DeliveryResolution) -> CampaignRow:
    """What the decision means for the campaign, which is locked: it sends again, or its summary changes."""
    of_campaign = {"organization_id": uow.tenant.organization_id, "campaign_id": campaign.id}
    has_issues = campaign.status == CampaignStatus.SENT_WITH_ISSUES
    if resolution is DeliveryResolution.SEND_AGAIN:
        uow.enqueue(SendBatches(**of_campaign))
        if not has_issues:
            return campaign
        return await lifecycle.move(
            uow, campaign.id, CampaignStatus.SENDING, origins=lifecycle.AFTER_ISSUES, sent_at=None
        )
    if not has_issues:
        uow.enqueue(AdvanceCampaign(**of_campaign))
        return campaign
    reason = await summarize_issues(uow, campaign.id)
    end = CampaignStatus.SENT_WITH_ISSUES if reason else CampaignStatus.SENT
    return await lifecycle.move(uow, campaign.id, end, reason=reason, origins=lifecycle.AFTER_ISSUES)
