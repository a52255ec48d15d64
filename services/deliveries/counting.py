"""The counters of a campaign (`campaign_stats`), compared with its rows in `email_deliveries`.

Triggers change them together; this is the check before a campaign is finished.
"""

from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, exists, func, select, true, update

from core.database.scopes import Reader
from core.telemetry import logger
from core.unit_of_work import UnitOfWork
from models.campaigns import CampaignStats
from models.deliveries import DeliveryStatus, EmailDelivery
from services.deliveries.batch_sql import of_campaign

log = logger(__name__)
IN_FLIGHT = frozenset({DeliveryStatus.CLAIMED, DeliveryStatus.SUBMITTING})
# The condition of each counter, the same as in the triggers on `email_deliveries`.
_COUNTED: dict[str, Any] = {
    "audience": EmailDelivery.id.is_not(None),
    "in_flight": EmailDelivery.status.in_(IN_FLIGHT),
    **{str(status): EmailDelivery.status == status for status in DeliveryStatus if status not in IN_FLIGHT},
    "reached": EmailDelivery.delivered_at.is_not(None),
    "opened": EmailDelivery.opened_at.is_not(None),
    "clicked": EmailDelivery.clicked_at.is_not(None),
    "unsubscribed": EmailDelivery.unsubscribed_at.is_not(None),
}


def _count_rows(organization_id: UUID, campaign_id: UUID) -> Select[*tuple[Any, ...]]:
    """Select the true value of each counter, in one row."""
    return select(*(func.count().filter(rule).label(name) for name, rule in _COUNTED.items())).where(
        *of_campaign(organization_id, campaign_id)
    )


async def differences(reads: Reader, campaign_id: UUID) -> dict[str, tuple[int, int]]:
    """The counters that differ from the rows, as `(counter, rows)` by name; read in one statement."""
    counts = _count_rows(reads.tenant.organization_id, campaign_id).subquery("counts")
    rows: list[Row[Any]] = list(
        await reads.rows(
            select(
                *(getattr(CampaignStats, name).label(f"counter_{name}") for name in _COUNTED),
                *(counts.c[name].label(f"rows_{name}") for name in _COUNTED),
            )
            .join(counts, true())
            .where(
                CampaignStats.organization_id == reads.tenant.organization_id,
                CampaignStats.campaign_id == campaign_id,
            )
        )
    )
    pairs = {name: (getattr(rows[0], f"counter_{name}"), getattr(rows[0], f"rows_{name}")) for name in _COUNTED}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


async def counts_missing_pending(reads: Reader, campaign_id: UUID) -> bool:
    """Whether the counters have pending deliveries where there is no such row; read in one statement."""
    pending = exists(
        select(EmailDelivery.id).where(
            *of_campaign(reads.tenant.organization_id, campaign_id),
            EmailDelivery.is_open,
            EmailDelivery.status == DeliveryStatus.PENDING,
        )
    )
    rows = await reads.rows(
        select(CampaignStats.campaign_id).where(
            CampaignStats.organization_id == reads.tenant.organization_id,
            CampaignStats.campaign_id == campaign_id,
            CampaignStats.pending > 0,
            ~pending,
        )
    )
    return bool(rows)


async def verify_counts(uow: UnitOfWork, campaign_id: UUID) -> bool:
    """Compare the counters with the rows; a difference is a defect, which is logged as an error and corrected."""
    differing = await differences(uow, campaign_id)
    if not differing:
        return True
    log.error("counters differ from the deliveries", campaign_id=str(campaign_id), counters=differing)
    conditions = (
        CampaignStats.organization_id == uow.tenant.organization_id,
        CampaignStats.campaign_id == campaign_id,
    )
    # A concurrent transaction that changes deliveries waits for this lock, and then adds to the corrected counters.
    await uow.rows(select(CampaignStats.campaign_id).where(*conditions).with_for_update())
    counts = (await uow.rows(_count_rows(uow.tenant.organization_id, campaign_id)))[0]
    await uow.execute(
        update(CampaignStats)
        .where(*conditions)
        .values(sequence=CampaignStats.sequence + 1, **{name: getattr(counts, name) for name in _COUNTED})
    )
    return False
