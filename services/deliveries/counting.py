"""The counters against the ledger: they move together, and a finished campaign is checked once more."""

from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, exists, func, select, true, update

from core.database.scopes import Reads
from core.telemetry import logger
from core.unit_of_work import UnitOfWork
from models.campaigns import CampaignStats
from models.deliveries import DeliveryStatus, EmailDelivery
from services.deliveries.batch_sql import of_campaign

log = logger(__name__)
IN_FLIGHT = frozenset({DeliveryStatus.CLAIMED, DeliveryStatus.SUBMITTING})
# What each counter of `campaign_stats` counts, as the triggers on `email_deliveries` do.
COUNTED: dict[str, Any] = {
    "audience": EmailDelivery.id.is_not(None),
    "in_flight": EmailDelivery.status.in_(IN_FLIGHT),
    **{str(status): EmailDelivery.status == status for status in DeliveryStatus if status not in IN_FLIGHT},
    "reached": EmailDelivery.delivered_at.is_not(None),
    "opened": EmailDelivery.opened_at.is_not(None),
    "clicked": EmailDelivery.clicked_at.is_not(None),
    "unsubscribed": EmailDelivery.unsubscribed_at.is_not(None),
}


def ledger_counts(organization_id: UUID, campaign_id: UUID) -> Select[*tuple[Any, ...]]:
    """One row of every count, from the ledger itself."""
    return select(*(func.count().filter(rule).label(name) for name, rule in COUNTED.items())).where(
        *of_campaign(organization_id, campaign_id)
    )


async def differences(reads: Reads, campaign_id: UUID) -> dict[str, tuple[int, int]]:
    """The counters that differ from the ledger at this moment: `(counter, ledger)` by name; empty when all agree."""
    counts = ledger_counts(reads.tenant.organization_id, campaign_id).subquery("ledger")
    rows: list[Row[Any]] = list(
        await reads.rows(
            select(
                *(getattr(CampaignStats, name).label(f"counter_{name}") for name in COUNTED),
                *(counts.c[name].label(f"ledger_{name}") for name in COUNTED),
            )
            .join(counts, true())
            .where(
                CampaignStats.organization_id == reads.tenant.organization_id,
                CampaignStats.campaign_id == campaign_id,
            )
        )
    )
    pairs = {name: (getattr(rows[0], f"counter_{name}"), getattr(rows[0], f"ledger_{name}")) for name in COUNTED}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


async def counts_missing_pending(reads: Reads, campaign_id: UUID) -> bool:
    """Whether the counters know of pending deliveries of which the ledger has none; one statement, so one moment."""
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
    """Compare the counters with the ledger; a difference is a defect: it is logged as one, and put right."""
    found = await differences(uow, campaign_id)
    if not found:
        return True
    log.error("counters differ from the ledger", campaign_id=str(campaign_id), counters=found)
    mine = (
        CampaignStats.organization_id == uow.tenant.organization_id,
        CampaignStats.campaign_id == campaign_id,
    )
    # Whoever moves deliveries now waits for the counters' row, and then adds to what we have put right.
    await uow.rows(select(CampaignStats.campaign_id).where(*mine).with_for_update())
    counts = (await uow.rows(ledger_counts(uow.tenant.organization_id, campaign_id)))[0]
    await uow.execute(
        update(CampaignStats)
        .where(*mine)
        .values(sequence=CampaignStats.sequence + 1, **{name: getattr(counts, name) for name in COUNTED})
    )
    return False
