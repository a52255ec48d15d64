"""How a campaign changes state: one guarded UPDATE, so that of two callers exactly one wins."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import func, select, update

from core.database.scopes import first
from core.errors import Conflict, ErrorCode, NotFound
from core.pubsub import campaign_topic
from core.unit_of_work import UnitOfWork
from models.campaigns import TRANSITIONS, Campaign, CampaignStats, CampaignStatus

UNKNOWN_CAMPAIGN = "There is no such campaign."


class CampaignConflict(Conflict):
    """The campaign is not, or no longer, in a state from which it can go there."""

    code = ErrorCode.INVALID_STATE

    def __init__(self, status: CampaignStatus, to: CampaignStatus, *, field: tuple[str, ...] = ()) -> None:
        allowed = " or ".join(sorted(TRANSITIONS[to]))
        super().__init__(
            f"The campaign is {status} and cannot become {to}.",
            field=field,
            suggestion=f"Only a campaign that is {allowed} can become {to}.",
        )
        self.status = status


class CampaignChanged(Conflict):
    """Somebody changed the campaign since the caller read it."""


class CampaignRow(NamedTuple):
    """A campaign as the change left it."""

    id: UUID
    organization_id: UUID
    status: CampaignStatus
    status_reason: str | None
    version: int
    scheduled_at: datetime | None
    started_at: datetime | None
    sent_at: datetime | None


async def move(
    uow: UnitOfWork,
    campaign_id: UUID,
    to: CampaignStatus,
    *,
    version: int | None = None,
    reason: str | None = None,
    transitions: Mapping[CampaignStatus, frozenset[CampaignStatus]] = TRANSITIONS,
    **columns: Any,  # noqa: ANN401 - column values of `campaigns`, as SQLAlchemy takes them
) -> CampaignRow:
    """Move a campaign to a state, with other columns in the same change, and announce it.

    `reason` says to people why (it replaces the last one), `transitions` from which states it may come; `columns` may
    be SQL expressions. Raises `NotFound`, `CampaignConflict` when the state does not allow it, `CampaignChanged` when
    `version` is no longer the newest.
    """
    change = (
        update(Campaign)
        .where(
            Campaign.organization_id == uow.tenant.organization_id,
            Campaign.id == campaign_id,
            Campaign.status.in_([str(status) for status in transitions[to]]),
        )
        .values(status=to, status_reason=reason, version=Campaign.version + 1, updated_at=func.now(), **columns)
        .returning(
            Campaign.id,
            Campaign.organization_id,
            Campaign.status,
            Campaign.status_reason,
            Campaign.version,
            Campaign.scheduled_at,
            Campaign.started_at,
            Campaign.sent_at,
        )
    )
    if version is not None:
        change = change.where(Campaign.version == version)
    rows = await uow.rows(change)
    if not rows:
        raise await refusal(uow, campaign_id, to)
    await announce(uow, campaign_id)
    row = rows[0]
    return CampaignRow(
        row.id,
        row.organization_id,
        CampaignStatus(row.status),
        row.status_reason,
        row.version,
        row.scheduled_at,
        row.started_at,
        row.sent_at,
    )


async def lock_campaign(uow: UnitOfWork, campaign_id: UUID) -> CampaignStatus | None:
    """Lock the campaign's row until the transaction ends, and read its status; None for an unknown one.

    Whoever changes a campaign and its deliveries locks the campaign first.
    """
    rows = await uow.rows(
        select(Campaign.status)
        .where(Campaign.organization_id == uow.tenant.organization_id, Campaign.id == campaign_id)
        .with_for_update(key_share=True)
    )
    return CampaignStatus(rows[0].status) if rows else None


async def announce(uow: UnitOfWork, campaign_id: UUID) -> None:
    """Raise the campaign's sequence and wake its watchers after the commit."""
    await uow.execute(
        update(CampaignStats)
        .where(CampaignStats.organization_id == uow.tenant.organization_id, CampaignStats.campaign_id == campaign_id)
        .values(sequence=CampaignStats.sequence + 1, updated_at=func.clock_timestamp())
    )
    uow.publish(campaign_topic(uow.tenant.organization_id, campaign_id))


async def refusal(uow: UnitOfWork, campaign_id: UUID, to: CampaignStatus) -> NotFound | Conflict:
    """Why the change found no row."""
    row = await first(uow, select(Campaign.status).where(Campaign.id == campaign_id))
    if row is None:
        return NotFound(UNKNOWN_CAMPAIGN, field=("input", "campaignId"))
    status = CampaignStatus(row.status)
    if status in TRANSITIONS[to]:
        return CampaignChanged("Somebody else changed the campaign; read it again.")
    return CampaignConflict(status, to, field=("input", "campaignId"))
