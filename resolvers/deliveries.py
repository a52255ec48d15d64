from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast
from uuid import UUID

import strawberry

from core.access.permissions import Permission
from core.listing.pages import PageRequest
from models.deliveries import DeliveryStatus
from resolvers.campaigns.loading import by_id, known_by_id
from resolvers.campaigns.mapping import campaign_of
from resolvers.connections import connection_of
from resolvers.contacts.showing import contact_of
from resolvers.context import Info, RequestContext, reads_relations
from resolvers.fields import Requires, mutation
from resolvers.nodes import fetches
from schema.campaigns.campaign import Campaign
from schema.connections import Connection
from schema.contacts import Contact
from schema.deliveries import Delivery, DeliveryFilter, DeliveryPages, ResolveDeliveryInput, ResolveDeliveryPayload
from schema.nodes import global_id, uuid_of
from schema.scalars import DateTime, EmailAddress
from services.campaigns import reading
from services.contacts.listing import CONTACTS
from services.deliveries import listing, resolving
from services.deliveries.listing import DeliveryRow


@fetches("Delivery", Permission.CONTACT_READ)
async def fetch_deliveries(info: Info, delivery_ids: Sequence[UUID]) -> dict[UUID, Delivery]:
    """Deliveries of the caller's organisation."""
    found = await listing.by_ids(info.context.reads, delivery_ids)
    return {delivery_id: delivery_of(info.context, row) for delivery_id, row in found.items()}


@strawberry.type
class DeliveryMutations:
    @mutation(Requires(Permission.CAMPAIGN_SEND), audit="delivery.resolved")
    async def resolve_delivery(self, info: Info, input: ResolveDeliveryInput) -> ResolveDeliveryPayload:  # noqa: A002 - the contract's name
        """Decide about a delivery that is UNKNOWN or FAILED: it may have been sent, and nobody can tell.

        Look at the provider's own records before SEND_AGAIN. INVALID_STATE when the delivery was settled meanwhile,
        or when SEND_AGAIN is asked of a cancelled campaign; in production SENDER_NOT_CONFIRMED when it is asked of
        one whose sender was deleted. The audit log has who decided what.
        """
        async with info.context.work() as uow:
            row, campaign = await resolving.resolve(
                uow, uuid_of("Delivery", input.delivery_id), input.as_, policy=info.context.dependencies.sender_policy
            )
        return ResolveDeliveryPayload(
            delivery=delivery_of(info.context, row), campaign=campaign_of(info.context, campaign)
        )


@reads_relations(DeliveryPages)
class ReadDeliveryPages:
    """Reads the deliveries of campaigns."""

    __slots__ = ("context",)

    def __init__(self, context: RequestContext) -> None:
        self.context = context

    async def of_campaign(
        self, campaign_id: UUID, given: DeliveryFilter | None, page: PageRequest
    ) -> Connection[Delivery]:
        """A page of the campaign's deliveries; raises `Forbidden` without the permission to read contacts."""
        self.context.caller.require(Permission.CONTACT_READ)
        reads, wanted = self.context.reads, filter_of(given)
        found = await listing.page(reads, campaign_id, page, wanted)
        count = partial(listing.count, reads, campaign_id, wanted)
        return connection_of(found, count, partial(delivery_of, self.context))


def delivery_of(context: RequestContext, row: DeliveryRow) -> Delivery:
    """A delivery as the API shows it; its campaign and contact are read when they are selected."""
    return Delivery(
        id=global_id("Delivery", row.id),
        details=ReadDeliveryDetails(context, row),
        email=EmailAddress(row.email),
        state=DeliveryStatus(row.status),
        reason=row.reason,
        provider_code=row.error_code,
        provider_message_id=row.message_id,
        attempts=row.attempts,
        submitted_at=cast("DateTime | None", row.submitted_at),
        accepted_at=cast("DateTime | None", row.accepted_at),
        delivered_at=cast("DateTime | None", row.delivered_at),
        opened_at=cast("DateTime | None", row.opened_at),
        clicked_at=cast("DateTime | None", row.clicked_at),
        bounced_at=cast("DateTime | None", row.bounced_at),
        unsubscribed_at=cast("DateTime | None", row.unsubscribed_at),
    )


@dataclass(slots=True)
class ReadDeliveryDetails:
    """Reads the relations of a delivery, for all deliveries of an answer in one statement each."""

    context: RequestContext
    row: DeliveryRow

    async def campaign(self) -> Campaign:
        """Its campaign."""
        row = await by_id(self.context, "campaigns", reading.by_ids).load(self.row.campaign_id)
        return campaign_of(self.context, row)

    async def contact(self) -> Contact | None:
        """Its contact; None when that was deleted since."""
        row = await known_by_id(self.context, "contacts", CONTACTS.by_ids).load(self.row.contact_id)
        return contact_of(row) if row else None


def filter_of(given: DeliveryFilter | None) -> listing.DeliveryFilter:
    """The filter asked for."""
    wanted = given.state if given else None
    if wanted is None or (wanted.eq is None and wanted.in_ is None):
        return listing.ALL_DELIVERIES
    among = [wanted.eq] if wanted.in_ is None else wanted.in_
    return listing.DeliveryFilter(
        statuses=frozenset(status for status in among if status is not None and wanted.eq in (None, status))
    )
