"""Resolving a message in doubt by a person's decision."""

from typing import Any, Final
from uuid import UUID

from sqlalchemy import func, update

from core.errors import InvalidState
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
_CANCELLED_STATUSES: Final = frozenset({CampaignStatus.CANCELLING, CampaignStatus.CANCELLED})
# In which a campaign may have a delivery in doubt, and the delivery may be sent again.
_STILL_SENDS: Final = frozenset({CampaignStatus.SENDING, CampaignStatus.PAUSED, CampaignStatus.SENT_WITH_ISSUES})
_AS_FIELD: Final = ("input", "as")
_SUGGESTION: Final = "Choose SENT or NOT_SENT, or send the contact a copy of the campaign (`duplicateCampaign`)."
_DECIDED_NOT_SENT: Final = "A user decided that it was not sent."
_CHANGES: Final[dict[DeliveryResolution, dict[str, Any]]] = {
    DeliveryResolution.SENT: {
        "status": str(DeliveryStatus.ACCEPTED),
        "accepted_at": func.coalesce(EmailDelivery.submitted_at, func.clock_timestamp()),
        "error_message": None,
    },
    DeliveryResolution.NOT_SENT: {"status": str(DeliveryStatus.FAILED), "error_message": _DECIDED_NOT_SENT},
    DeliveryResolution.SEND_AGAIN: {
        "status": str(DeliveryStatus.PENDING),
        "batch_id": None,
        "submitted_at": None,
        "error_message": None,
    },
}


class DeliveryNotResolvable(InvalidState):
    """The delivery, or its campaign, is not in a state that allows this decision."""


async def resolve(
    uow: UnitOfWork, delivery_id: UUID | None, resolution: DeliveryResolution, *, policy: SenderPolicy
) -> tuple[DeliveryRow, CampaignRow]:
    """Resolve a delivery that is `unknown` or `failed`; returns it and its campaign as they are then.

    `sent` makes it accepted, `not_sent` failed; `send_again` makes it pending, to be sent in a new batch, for which a
    finished campaign is `sending` again. Raises `NotFound`, `DeliveryNotResolvable`, and for `send_again`
    `FeatureUnavailable`, or `SenderNotConfirmed` where the sender was deleted.
    """
    if resolution is DeliveryResolution.SEND_AGAIN:
        policy.features.require(Feature.SENDING)
    delivery = await DELIVERIES.require(uow, delivery_id)
    if resolution is DeliveryResolution.SEND_AGAIN:
        # Locked before the campaign: `senders.changing.delete` locks them in the same order.
        await _lock_sender(uow, await CAMPAIGNS.require(uow, delivery.campaign_id), policy)
    campaign = await lifecycle.lock(uow, delivery.campaign_id)
    if campaign is None:
        raise CAMPAIGNS.not_found()
    if resolution is DeliveryResolution.SEND_AGAIN and campaign.status in _CANCELLED_STATUSES:
        raise DeliveryNotResolvable(
            f"The campaign is {campaign.status}, so no more of its messages are sent.",
            field=_AS_FIELD,
            suggestion=_SUGGESTION,
            state=CampaignStatus(campaign.status),
            allowed=_STILL_SENDS,
        )
    row = await _change(uow, delivery, resolution)
    uow.publish(campaign_topic(uow.tenant.organization_id, delivery.campaign_id))
    await audit.record(
        uow,
        "delivery.resolved",
        delivery.id,
        {"campaign": str(delivery.campaign_id), "from": delivery.status, "as": str(resolution)},
    )
    return row, await _update_campaign(uow, campaign, resolution)


async def _lock_sender(uow: UnitOfWork, campaign: CampaignRow, policy: SenderPolicy) -> None:
    """Lock the campaign's sender against deletion; raises `SenderNotConfirmed` when it was deleted."""
    chosen = sender_policy.stored_sender(policy, campaign.from_header, campaign.from_sender_id)
    if chosen is not None:
        await sender_policy.lock_chosen(uow, chosen)
    elif policy.confirmed_only:
        raise SenderNotConfirmed("The sender of the campaign was deleted.", field=_AS_FIELD, suggestion=_SUGGESTION)


async def _change(uow: UnitOfWork, delivery: DeliveryRow, resolution: DeliveryResolution) -> DeliveryRow:
    """Update the row if it is still `unknown` or `failed`; raises `DeliveryNotResolvable` otherwise."""
    rows = await uow.rows(
        update(EmailDelivery)
        .where(
            *of_campaign(uow.tenant.organization_id, delivery.campaign_id),
            EmailDelivery.id == delivery.id,
            EmailDelivery.status.in_([str(status) for status in IN_DOUBT]),
        )
        .values(lookups=0, next_lookup_at=None, **RELEASED, **_CHANGES[resolution])
        .returning(*DELIVERIES.columns)
    )
    if not rows:
        now = await DELIVERIES.require(uow, delivery.id)
        raise DeliveryNotResolvable(
            f"The delivery is {now.status}.",
            field=DELIVERIES.id_field,
            suggestion="Only a delivery that is UNKNOWN or FAILED can be resolved.",
            state=DeliveryStatus(now.status),
            allowed=IN_DOUBT,
        )
    return DeliveryRow._make(rows[0])


async def _update_campaign(uow: UnitOfWork, campaign: CampaignRow, resolution: DeliveryResolution) -> CampaignRow:
    """Adapt the campaign, which is locked, to the decision: it sends again, or its summary changes."""
    of_campaign = {"organization_id": uow.tenant.organization_id, "campaign_id": campaign.id}
    has_issues = campaign.status == CampaignStatus.SENT_WITH_ISSUES
    if resolution is DeliveryResolution.SEND_AGAIN:
        uow.enqueue(SendBatches(**of_campaign))
        if not has_issues:
            return campaign
        return await lifecycle.change_status(
            uow, campaign.id, CampaignStatus.SENDING, from_statuses=lifecycle.ENDED_WITH_ISSUES, sent_at=None
        )
    if not has_issues:
        uow.enqueue(AdvanceCampaign(**of_campaign))
        return campaign
    reason = await summarize_issues(uow, campaign.id)
    end = CampaignStatus.SENT_WITH_ISSUES if reason else CampaignStatus.SENT
    return await lifecycle.change_status(
        uow, campaign.id, end, reason=reason, from_statuses=lifecycle.ENDED_WITH_ISSUES
    )
