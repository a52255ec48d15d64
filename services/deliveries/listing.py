"""Pages of a campaign's deliveries, in the order of their ids: that in which the campaign was prepared."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import ARRAY, ColumnElement, Select, Uuid, and_, bindparam, func, literal, select, true

from core.database.scopes import Reader
from core.listing import fields
from core.listing.conditions import EVERYTHING, And, Condition, Eq, In, Leaf, Not, Or
from core.listing.listing import Listing
from core.listing.orders import Order
from models.campaigns import Campaign, CampaignStats
from models.deliveries import EXCEPTIONAL_DELIVERIES, OPEN_DELIVERIES, DeliveryDecision, DeliveryStatus, EmailDelivery
from services.deliveries.counting import IN_FLIGHT


class DeliveryRow(NamedTuple):
    """A delivery, without the columns that only workers use; `status` is a value of `DeliveryStatus`."""

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
        """The reason of the status in a sentence, or the provider's error text where it refused the message."""
        if self.decision is None:
            return self.error_message
        sentence = _SKIPPED_BECAUSE[DeliveryDecision(self.decision)]
        return f"{sentence} {self.error_message}" if self.error_message else sentence


_SKIPPED_BECAUSE: Final = {
    DeliveryDecision.UNSUBSCRIBED: "The contact had unsubscribed.",
    DeliveryDecision.NOT_CONFIRMED: "The contact had not confirmed the subscription.",
    DeliveryDecision.BOUNCED: "Mail to the contact had bounced before.",
    DeliveryDecision.COMPLAINED: "The contact had reported a message as spam.",
    DeliveryDecision.SUPPRESSED: "The address is suppressed.",
    DeliveryDecision.CANCELLED: "The campaign was cancelled.",
    DeliveryDecision.CONTACT_DELETED: "The contact was deleted.",
    DeliveryDecision.RENDER_FAILED: "The message could not be rendered.",
}


class _Status(fields.EnumField):
    """A filter by status, which adds the condition of a partial index if that index has all the statuses.

    PostgreSQL uses a partial index only for a condition that is written as in the index.
    """

    def compile(self, leaf: Leaf) -> ColumnElement[bool]:
        """The condition on the status, with that of the partial index."""
        condition = fields.EnumField.compile(self, leaf)
        statuses = frozenset(leaf.values if isinstance(leaf, In) else [leaf.value] if isinstance(leaf, Eq) else ())
        if statuses <= EXCEPTIONAL_DELIVERIES:
            return and_(condition, EmailDelivery.is_exceptional.expression)
        if statuses <= OPEN_DELIVERIES:
            return and_(condition, EmailDelivery.is_open.expression)
        return condition


def _select_by_ids() -> Select[*tuple[Any, ...]]:
    """Select deliveries by id alone, with a lookup by the primary key in each of the organization's campaigns.

    In the key the campaign comes before the id. The OFFSET keeps PostgreSQL from scanning all deliveries of the
    organization.
    """
    of_campaign = (
        select(*(getattr(EmailDelivery, name) for name in DeliveryRow._fields))
        .where(
            EmailDelivery.organization_id == Campaign.organization_id,
            EmailDelivery.campaign_id == Campaign.id,
            EmailDelivery.id == func.any(bindparam("wanted", type_=ARRAY(Uuid))),
        )
        .offset(literal(0))
        .correlate(Campaign)
        .lateral("of_campaign")
    )
    return select(*of_campaign.c).select_from(Campaign).join(of_campaign, true())


FIELDS: Final[fields.Fields] = {"state": _Status(EmailDelivery.status, DeliveryStatus)}
DELIVERIES: Final = Listing(
    DeliveryRow,
    EmailDelivery,
    FIELDS,
    noun="delivery",
    id_field=("input", "deliveryId"),
    order=Order(EmailDelivery.id),
    parent=EmailDelivery.campaign_id,
    by_ids=_select_by_ids(),
)


async def counts_of(
    reads: Reader, campaign_ids: Sequence[UUID], condition: Condition = EVERYTHING
) -> Mapping[UUID, int]:
    """How many of each campaign's deliveries match the condition; from the counters, where they suffice."""
    statuses = frozenset(status for status in DeliveryStatus if _matches(status, condition))
    if len(statuses & IN_FLIGHT) == 1:
        return await DELIVERIES.counts_of(reads, campaign_ids, condition)
    counters = {"in_flight" if status in IN_FLIGHT else str(status) for status in statuses}
    columns = [getattr(CampaignStats, name) for name in sorted(counters)]
    rows = await reads.rows(
        select(CampaignStats.campaign_id, sum(columns, start=literal(0))).where(
            CampaignStats.organization_id == reads.tenant.organization_id,
            CampaignStats.campaign_id.in_(campaign_ids),
        )
    )
    counted = {row[0]: row[1] for row in rows}
    return {campaign_id: counted.get(campaign_id, 0) for campaign_id in campaign_ids}


def _matches(status: DeliveryStatus, condition: Condition) -> bool:
    """Whether deliveries of the status match a condition on the status, which is never NULL."""
    match condition:
        case And(conditions):
            return all(_matches(status, each) for each in conditions)
        case Or(conditions):
            return any(_matches(status, each) for each in conditions)
        case Not(inner):
            return not _matches(status, inner)
        case Eq(value=value):
            return status == value
        case In(values=values):
            return status in values
    raise TypeError(f"deliveries are not counted by {condition!r}")
