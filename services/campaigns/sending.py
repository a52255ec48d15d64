"""Commands of users on campaigns: send, pause, resume, cancel, schedule. They change the row and enqueue the job."""

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

_MAX_AHEAD: Final = timedelta(days=366)


async def send(
    uow: UnitOfWork, campaign_id: UUID | None, *, policy: SenderPolicy, idempotency_key: str | None = None
) -> CampaignRow:
    """Start sending a draft, or a scheduled campaign before its time; once for each idempotency key.

    Raises `NotFound`, `InputErrors` of `CampaignNotSendable`, `Conflict` after a concurrent change, or
    `IdempotencyKeyReused`. A replay returns the campaign with its current status.
    """
    started: list[CampaignRow] = []

    async def act() -> Mapping[str, Any]:
        started.append(await _start(uow, campaign_id, policy))
        return {}

    await idempotency.once(uow, idempotency_key, "sendCampaign", {"campaign_id": campaign_id}, act)
    return started[0] if started else await CAMPAIGNS.require(uow, campaign_id)


async def pause(uow: UnitOfWork, campaign_id: UUID | None) -> CampaignRow:
    """Pause sending; messages already submitted to the provider are still sent. Raises `NotFound`, `Conflict`."""
    return await lifecycle.change_status_for_user(
        uow, campaign_id, CampaignStatus.PAUSED, "campaign.paused", reason="Paused by a user."
    )


async def resume(uow: UnitOfWork, campaign_id: UUID | None, *, policy: SenderPolicy) -> CampaignRow:
    """Continue a paused campaign. Raises `FeatureUnavailable`, `NotFound`, `Conflict`.

    Allowed from `paused` only. From `preparing`, a campaign becomes `sending` by itself when the audience is frozen.
    """
    policy.features.require(Feature.SENDING)
    campaign = await lifecycle.change_status_for_user(
        uow, campaign_id, CampaignStatus.SENDING, "campaign.resumed", from_statuses=(CampaignStatus.PAUSED,)
    )
    uow.enqueue(SendBatches(organization_id=uow.tenant.organization_id, campaign_id=campaign.id))
    return campaign


async def cancel(uow: UnitOfWork, campaign_id: UUID | None) -> CampaignRow:
    """Stop a campaign for good; messages not yet submitted are not sent. Raises `NotFound`, `Conflict`."""
    campaign = await lifecycle.change_status_for_user(
        uow, campaign_id, CampaignStatus.CANCELLING, "campaign.cancelled", reason="Cancelled by a user."
    )
    uow.enqueue(AdvanceCampaign(organization_id=uow.tenant.organization_id, campaign_id=campaign.id))
    return campaign


async def schedule(
    uow: UnitOfWork, campaign_id: UUID | None, moment: datetime, *, policy: SenderPolicy
) -> CampaignRow:
    """Schedule a draft, at most 366 days ahead; the sweeper starts it within seconds of that time.

    Raises `InvalidInput` for a time in the past or too far ahead, and what `send` raises: a campaign that cannot be
    sent now cannot be scheduled.
    """
    _check_scheduled_at(moment)
    draft, content = await require_with_content(uow, campaign_id)
    sent_from = await _choose_sender(uow, draft, content, policy) if draft.status == CampaignStatus.DRAFT else {}
    campaign = await lifecycle.change_status(
        uow, draft.id, CampaignStatus.SCHEDULED, version=draft.version, scheduled_at=moment, **sent_from
    )
    await audit.record(uow, "campaign.scheduled", campaign.id, {"at": moment.isoformat()})
    return campaign


async def unschedule(uow: UnitOfWork, campaign_id: UUID | None) -> CampaignRow:
    """Make a scheduled campaign a draft again. Raises `NotFound`, `Conflict`."""
    return await lifecycle.change_status_for_user(
        uow,
        campaign_id,
        CampaignStatus.DRAFT,
        "campaign.unscheduled",
        scheduled_at=None,
        from_sender_id=None,
        from_header=None,
    )


async def _start(uow: UnitOfWork, campaign_id: UUID | None, policy: SenderPolicy) -> CampaignRow:
    draft, content = await require_with_content(uow, campaign_id)
    sent_from = await _choose_sender(uow, draft, content, policy)
    campaign = await lifecycle.change_status(
        uow, draft.id, CampaignStatus.PREPARING, version=draft.version, **sent_from
    )
    uow.enqueue(PrepareCampaign(organization_id=uow.tenant.organization_id, campaign_id=campaign.id))
    await audit.record(uow, "campaign.sent", campaign.id, {"version": draft.version})
    return campaign


async def _choose_sender(
    uow: UnitOfWork, campaign: CampaignRow, content: Content, policy: SenderPolicy
) -> dict[str, Any]:
    """The columns of the sender and the From header; raises `InputErrors` if the campaign cannot be sent."""
    chosen = await require_sendable(uow, campaign, content, policy=policy)
    return {"from_sender_id": chosen.sender_id, "from_header": chosen.header}


def _check_scheduled_at(moment: datetime) -> None:
    field = ("input", "scheduledAt")
    if moment <= clock.now():
        raise InvalidInput("The time is in the past.", field=field, suggestion="Send it now with `sendCampaign`.")
    if moment > clock.now() + _MAX_AHEAD:
        raise InvalidInput(f"The time is more than {_MAX_AHEAD.days} days ahead.", field=field)
