"""What a person orders of a campaign: send, pause, resume, cancel, schedule. The sending engine follows the row."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from core import clock
from core.errors import InvalidInput
from core.unit_of_work import UnitOfWork
from models.campaigns import CampaignStatus
from services import audit, idempotency
from services.campaigns import lifecycle
from services.campaigns.listing import CAMPAIGNS, CampaignRow, Content, require_with_content
from services.campaigns.validating import require_sendable
from services.campaigns.work import AdvanceCampaign, PrepareCampaign, SendBatches
from services.features import Feature
from services.senders.policy import SenderPolicy

MAX_AHEAD: Final = timedelta(days=366)


async def send(
    uow: UnitOfWork, campaign_id: UUID | None, *, policy: SenderPolicy, idempotency_key: str | None = None
) -> CampaignRow:
    """Start sending a draft, or a scheduled campaign ahead of its time; once for each idempotency key.

    Raises `NotFound`, `InputErrors` of `CampaignNotSendable`, `Conflict` when another request was faster, or
    `IdempotencyKeyReused`. A replay gives back the same campaign as it is now.
    """
    started: list[CampaignRow] = []

    async def act() -> Mapping[str, Any]:
        started.append(await _start(uow, campaign_id, policy))
        return {}

    await idempotency.once(uow, idempotency_key, "sendCampaign", {"campaign_id": campaign_id}, act)
    return started[0] if started else await CAMPAIGNS.require(uow, campaign_id)


async def pause(uow: UnitOfWork, campaign_id: UUID | None) -> CampaignRow:
    """Hold a campaign that is being sent; what the provider has is not held. Raises `NotFound`, `Conflict`."""
    return await lifecycle.move_for_person(
        uow, campaign_id, CampaignStatus.PAUSED, "campaign.paused", reason="Paused by a person."
    )


async def resume(uow: UnitOfWork, campaign_id: UUID | None, *, policy: SenderPolicy) -> CampaignRow:
    """Go on with a paused campaign where it was held. Raises `FeatureUnavailable`, `NotFound`, `Conflict`.

    One that is `preparing` becomes `sending` too, but only when its audience is frozen: nobody can order it.
    """
    policy.features.require(Feature.SENDING)
    campaign = await lifecycle.move_for_person(
        uow, campaign_id, CampaignStatus.SENDING, "campaign.resumed", origins=(CampaignStatus.PAUSED,)
    )
    uow.enqueue(SendBatches(organization_id=uow.tenant.organization_id, campaign_id=campaign.id))
    return campaign


async def cancel(uow: UnitOfWork, campaign_id: UUID | None) -> CampaignRow:
    """Stop a campaign for good: whoever has no message yet gets none. Raises `NotFound`, `Conflict`."""
    campaign = await lifecycle.move_for_person(
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
    found, content = await require_with_content(uow, campaign_id)
    sent_from = await _settle_sender(uow, found, content, policy) if found.status == CampaignStatus.DRAFT else {}
    campaign = await lifecycle.move(
        uow, found.id, CampaignStatus.SCHEDULED, version=found.version, scheduled_at=moment, **sent_from
    )
    await audit.record(uow, "campaign.scheduled", campaign.id, {"at": moment.isoformat()})
    return campaign


async def unschedule(uow: UnitOfWork, campaign_id: UUID | None) -> CampaignRow:
    """Make a scheduled campaign a draft again. Raises `NotFound`, `Conflict`."""
    return await lifecycle.move_for_person(
        uow,
        campaign_id,
        CampaignStatus.DRAFT,
        "campaign.unscheduled",
        scheduled_at=None,
        from_sender_id=None,
        from_header=None,
    )


async def _start(uow: UnitOfWork, campaign_id: UUID | None, policy: SenderPolicy) -> CampaignRow:
    found, content = await require_with_content(uow, campaign_id)
    sent_from = await _settle_sender(uow, found, content, policy)
    campaign = await lifecycle.move(uow, found.id, CampaignStatus.PREPARING, version=found.version, **sent_from)
    uow.enqueue(PrepareCampaign(organization_id=uow.tenant.organization_id, campaign_id=campaign.id))
    await audit.record(uow, "campaign.sent", campaign.id, {"version": found.version})
    return campaign


async def _settle_sender(
    uow: UnitOfWork, campaign: CampaignRow, content: Content, policy: SenderPolicy
) -> dict[str, Any]:
    """The columns that say of whom a campaign is sent from now on; raises `InputErrors` when it cannot be sent."""
    chosen = await require_sendable(uow, campaign, content, policy=policy)
    return {"from_sender_id": chosen.sender_id, "from_header": chosen.header}


def _check_moment(moment: datetime) -> None:
    field = ("input", "scheduledAt")
    if moment <= clock.now():
        raise InvalidInput("The moment has passed.", field=field, suggestion="Send it now with `sendCampaign`.")
    if moment > clock.now() + MAX_AHEAD:
        raise InvalidInput(f"At most {MAX_AHEAD.days} days ahead.", field=field)
