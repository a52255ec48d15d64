"""Pages of a campaign's deliveries, in the order in which its audience was frozen."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import ARRAY, ColumnElement, Select, Uuid, bindparam, func, literal, select, true

from core.database.prepared import prepare
from core.database.scopes import Reads
from core.errors import NotFound
from core.listing.orders import Order
from core.listing.pages import Page, PageRequest, page_of, page_parameters, paged
from models.campaigns import Campaign, CampaignStats
from models.deliveries import EXCEPTIONAL_DELIVERIES, OPEN_DELIVERIES, DeliveryStatus, EmailDelivery
from services.deliveries.batch_sql import of_campaign
from services.deliveries.counting import IN_FLIGHT
from services.deliveries.preparing import Decision

DELIVERY_FIELD: Final = ("input", "deliveryId")


class DeliveryRow(NamedTuple):
    """A delivery without what only its worker needs; `status` is a value of `DeliveryStatus`."""

    id: UUID
    campaign_id: UUID
    contact_id: UUID
    email: str
    status: str
    decision: str | None
    error_code: int | None
    error_message: str | None
    attempts: int
    message_id: str | None
    submitted_at: datetime | None
    accepted_at: datetime | None
    delivered_at: datetime | None
    opened_at: datetime | None
    clicked_at: datetime | None
    bounced_at: datetime | None
    unsubscribed_at: datetime | None

    @property
    def reason(self) -> str | None:
        """Why it stands there, in a sentence for people; the provider's own words where it refused the message."""
        if self.decision is None:
            return self.error_message
        sentence = SKIPPED_BECAUSE[Decision(self.decision)]
        return f"{sentence} {self.error_message}" if self.error_message else sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryFilter:
    """Which of a campaign's deliveries; every part that is given must hold."""

    statuses: frozenset[DeliveryStatus] | None = None


ALL_DELIVERIES: Final = DeliveryFilter()
COLUMNS: Final = tuple(getattr(EmailDelivery, name) for name in DeliveryRow._fields)
BY_ID: Final = Order(EmailDelivery.id)
SKIPPED_BECAUSE: Final = {
    Decision.UNSUBSCRIBED: "The contact had unsubscribed.",
    Decision.NOT_CONFIRMED: "The contact had not confirmed the subscription.",
    Decision.BOUNCED: "Mail to the contact had bounced before.",
    Decision.COMPLAINED: "The contact had reported a message as spam.",
    Decision.SUPPRESSED: "The address is suppressed.",
    Decision.CANCELLED: "The campaign was cancelled.",
    Decision.CONTACT_DELETED: "The contact was deleted.",
    Decision.RENDER_FAILED: "The message could not be rendered.",
}


def select_deliveries() -> Select[*tuple[Any, ...]]:
    """A select of the rows of `DeliveryRow`."""
    return select(*COLUMNS)


def select_by_ids() -> Select[*tuple[Any, ...]]:
    """Deliveries by id alone: a lookup by the primary key in each of the organisation's campaigns.

    The key has the campaign before the id. The OFFSET keeps PostgreSQL from reading the organisation's whole ledger.
    """
    of_campaign = (
        select_deliveries()
        .where(
            EmailDelivery.organization_id == Campaign.organization_id,
            EmailDelivery.campaign_id == Campaign.id,
            EmailDelivery.id == func.any(bindparam("wanted", type_=ARRAY(Uuid))),
        )
        .offset(literal(0))
        .correlate(Campaign)
        .lateral("of_campaign")
    )
    return (
        select(*of_campaign.c)
        .select_from(Campaign)
        .join(of_campaign, true())
        .where(Campaign.organization_id == bindparam("organization", type_=Uuid))
    )


BY_IDS: Final = prepare(select_by_ids())


async def page(
    reads: Reads, campaign_id: UUID, request: PageRequest, wanted: DeliveryFilter = ALL_DELIVERIES
) -> Page[DeliveryRow]:
    """A page of a campaign's deliveries that match; raises `CursorInvalid`."""
    statement = paged(select_deliveries().where(*matching(reads, campaign_id, wanted)), BY_ID, request)
    rows = await reads.rows_as(DeliveryRow, statement, page_parameters(BY_ID, request))
    return page_of(rows, BY_ID, request)


async def count(reads: Reads, campaign_id: UUID, wanted: DeliveryFilter = ALL_DELIVERIES) -> int:
    """How many of a campaign's deliveries match: from the campaign's counters, where they can tell."""
    statuses = frozenset(DeliveryStatus) if wanted.statuses is None else wanted.statuses
    if len(statuses & IN_FLIGHT) == 1:
        counted = select(func.count()).where(*matching(reads, campaign_id, wanted))
    else:
        counters = {"in_flight" if status in IN_FLIGHT else str(status) for status in statuses}
        columns = [getattr(CampaignStats, name) for name in sorted(counters)]
        counted = select(sum(columns, start=literal(0))).where(
            CampaignStats.organization_id == reads.tenant.organization_id, CampaignStats.campaign_id == campaign_id
        )
    rows = await reads.rows(counted)
    return int(rows[0][0]) if rows else 0


async def by_ids(reads: Reads, delivery_ids: Sequence[UUID]) -> dict[UUID, DeliveryRow]:
    """The tenant's deliveries among these ids, in one statement."""
    given = {"organization": reads.tenant.organization_id, "wanted": list(delivery_ids)}
    return {row.id: row for row in await reads.rows_as(DeliveryRow, BY_IDS, given)}


async def require(reads: Reads, delivery_id: UUID | None) -> DeliveryRow:
    """The tenant's delivery with this id; raises `NotFound`, also for another tenant's and for no id at all."""
    found = (await by_ids(reads, [delivery_id])).get(delivery_id) if delivery_id else None
    if found is None:
        raise NotFound("There is no such delivery.", field=DELIVERY_FIELD)
    return found


def matching(reads: Reads, campaign_id: UUID, wanted: DeliveryFilter) -> list[ColumnElement[bool]]:
    """The filter as SQL, with the condition of a partial index, in its own form, where all are in it."""
    parts: list[ColumnElement[bool]] = [
        *of_campaign(reads.tenant.organization_id, campaign_id),
    ]
    if wanted.statuses is not None:
        parts.append(EmailDelivery.status.in_(sorted(str(status) for status in wanted.statuses)))
        if wanted.statuses <= EXCEPTIONAL_DELIVERIES:
            parts.append(EmailDelivery.is_exceptional.expression)
        elif wanted.statuses <= OPEN_DELIVERIES:
            parts.append(EmailDelivery.is_open.expression)
    return parts
