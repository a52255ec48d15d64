"""Orders to a campaign: send, pause, resume, cancel, schedule. Each changes the row; the engine follows the row."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from core import clock
from core.errors import InvalidInput
from core.unit_of_work import UnitOfWork
from models.campaigns import CampaignStatus
from models.deliveries import DeliveryResolution
from services import audit, idempotency, senders
from services.campaigns.reading import CampaignRow, demand
from services.campaigns.validating import demand_sendable
from services.deliveries import listing, resolving
from services.deliveries.listing import DeliveryRow
from services.deliveries.states import move
from services.deliveries.work import AdvanceCampaign, PrepareCampaign, SendBatches
from services.senders import SenderNotConfirmed, SenderPolicy

FARTHEST: Final = timedelta(days=366)


async def send(
    uow: UnitOfWork, campaign_id: UUID | None, *, policy: SenderPolicy, idempotency_key: str | None = None
) -> CampaignRow:
    """Start sending a draft, or a scheduled campaign ahead of its time; once for each idempotency key.

    Raises `NotFound`, `Refusals` of `CampaignNotSendable`, `Conflict` when another request was faster, or
    `IdempotencyKeyReused`. A replay gives back the same campaign as it is now.
    """
    found = await demand(uow, campaign_id)

    async def act() -> Mapping[str, Any]:
        campaign = await demand(uow, found.id)
        sent_from = await _settle_sender(uow, campaign, policy)
        await move(uow, campaign.id, CampaignStatus.PREPARING, version=campaign.version, **sent_from)
        uow.enqueue(PrepareCampaign(organization_id=uow.tenant.organization_id, campaign_id=campaign.id))
        await audit.record(uow, "campaign.sent", campaign.id, {"version": campaign.version})
        return {"campaign_id": str(campaign.id)}

    await idempotency.once(uow, idempotency_key, "sendCampaign", {"campaign_id": found.id}, act)
    return await demand(uow, found.id)


async def pause(uow: UnitOfWork, campaign_id: UUID | None) -> CampaignRow:
    """Hold a campaign that is being sent; what the provider has is not held. Raises `NotFound`, `Conflict`."""
    return await _order(uow, campaign_id, CampaignStatus.PAUSED, "campaign.paused", reason="Paused by a person.")


async def resume(uow: UnitOfWork, campaign_id: UUID | None) -> CampaignRow:
    """Go on with a paused campaign where it was held. Raises `NotFound`, `Conflict`."""
    campaign = await _order(uow, campaign_id, CampaignStatus.SENDING, "campaign.resumed")
    uow.enqueue(SendBatches(organization_id=uow.tenant.organization_id, campaign_id=campaign.id))
    return campaign


async def cancel(uow: UnitOfWork, campaign_id: UUID | None) -> CampaignRow:
    """Stop a campaign for good: whoever has no message yet gets none. Raises `NotFound`, `Conflict`."""
    campaign = await _order(
        uow, campaign_id, CampaignStatus.CANCELLING, "campaign.cancelled", reason="Cancelled by a person."
    )
    uow.enqueue(AdvanceCampaign(organization_id=uow.tenant.organization_id, campaign_id=campaign.id))
    return campaign


async def schedule(
    uow: UnitOfWork, campaign_id: UUID | None, moment: datetime, *, policy: SenderPolicy
) -> CampaignRow:
    """Have a draft sent at a moment, at most 366 days ahead; the sweeper starts it within seconds of it.

    Raises `InvalidInput` for a moment that has passed or is too far, and what `send` raises: a campaign that could
    not be sent now is not scheduled.
    """
    _check_moment(moment)
    campaign = await demand(uow, campaign_id)
    sent_from = await _settle_sender(uow, campaign, policy) if campaign.status is CampaignStatus.DRAFT else {}
    await move(uow, campaign.id, CampaignStatus.SCHEDULED, version=campaign.version, scheduled_at=moment, **sent_from)
    await audit.record(uow, "campaign.scheduled", campaign.id, {"at": moment.isoformat()})
    return await demand(uow, campaign.id)


async def unschedule(uow: UnitOfWork, campaign_id: UUID | None) -> CampaignRow:
    """Make a scheduled campaign a draft again. Raises `NotFound`, `Conflict`."""
    campaign = await demand(uow, campaign_id)
    await move(uow, campaign.id, CampaignStatus.DRAFT, scheduled_at=None, from_sender_id=None, from_header=None)
    await audit.record(uow, "campaign.unscheduled", campaign.id)
    return await demand(uow, campaign.id)


async def resolve_delivery(
    uow: UnitOfWork, delivery_id: UUID | None, resolution: DeliveryResolution, *, policy: SenderPolicy
) -> tuple[DeliveryRow, CampaignRow]:
    """Decide about a delivery in doubt; it and its campaign as they are then.

    Raises what `resolving.resolve` raises, or `SenderNotConfirmed` for sending it again from a deleted sender.
    """
    if resolution is DeliveryResolution.SEND_AGAIN:
        found = await listing.require(uow, delivery_id)
        await _hold_settled(uow, await demand(uow, found.campaign_id), policy)
    row = await resolving.resolve(uow, delivery_id, resolution)
    return row, await demand(uow, row.campaign_id)


async def _hold_settled(uow: UnitOfWork, campaign: CampaignRow, policy: SenderPolicy) -> None:
    """Keep the sender of a campaign that is sent again from being deleted; raises when it was."""
    chosen = senders.settled(policy, campaign.from_header, campaign.from_sender_id)
    if chosen is not None:
        await senders.hold(uow, chosen)
    elif policy.confirmed_only:
        raise SenderNotConfirmed(
            "The sender of the campaign was deleted.",
            field=("input", "as"),
            suggestion="Decide SENT or NOT_SENT, or send the contact a copy of the campaign (`duplicateCampaign`).",
        )


async def _settle_sender(uow: UnitOfWork, campaign: CampaignRow, policy: SenderPolicy) -> dict[str, Any]:
    """The columns that say of whom a campaign is sent from now on; raises `Refusals` when it cannot be sent."""
    chosen = await senders.hold(uow, await demand_sendable(uow, campaign, policy=policy))
    return {"from_sender_id": chosen.sender_id, "from_header": chosen.header}


async def _order(
    uow: UnitOfWork, campaign_id: UUID | None, to: CampaignStatus, action: str, *, reason: str | None = None
) -> CampaignRow:
    campaign = await demand(uow, campaign_id)
    await move(uow, campaign.id, to, reason=reason)
    await audit.record(uow, action, campaign.id, {"from": campaign.status})
    return await demand(uow, campaign.id)


def _check_moment(moment: datetime) -> None:
    field = ("input", "scheduledAt")
    if moment <= clock.now():
        raise InvalidInput("The moment has passed.", field=field, suggestion="Send it now with `sendCampaign`.")
    if moment > clock.now() + FARTHEST:
        raise InvalidInput(f"At most {FARTHEST.days} days ahead.", field=field)
