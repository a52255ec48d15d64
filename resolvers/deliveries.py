"""The GraphQL type and mutation of deliveries."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast
from uuid import UUID

import strawberry

from core.access.permissions import Permission
from core.database.scopes import Reader
from core.ids import global_ids
from core.listing.pages import PageRequest
from execution import Column, rows
from models.deliveries import DeliveryStatus
from resolvers.campaigns.mapping import campaign_of
from resolvers.context import Info
from resolvers.fields import Requires, mutation
from resolvers.listing import parse
from resolvers.nodes import NodeType
from resolvers.relations import connections_of, relation
from schema.deliveries import (
    CAMPAIGN_DELIVERIES,
    DELIVERY_CAMPAIGN,
    DELIVERY_CONTACT,
    Delivery,
    DeliveryFilter,
    ResolveDeliveryInput,
    ResolveDeliveryPayload,
)
from schema.nodes import uuid_of
from services.campaigns.listing import CAMPAIGNS
from services.contacts.listing import CONTACTS
from services.deliveries import listing, resolving
from services.deliveries.listing import DELIVERIES, DeliveryRow

_read_connections: Final = connections_of(DELIVERIES, listing.counts_of)


async def _read_deliveries(
    reads: Reader, campaign_ids: Sequence[UUID], request: PageRequest, filter_: DeliveryFilter | None
) -> Mapping[UUID, Any]:
    """The same page of each campaign's deliveries that the filter asks for."""
    return await _read_connections(reads, campaign_ids, request, parse(filter_, DELIVERIES.fields))


rows.register(
    Delivery,
    DeliveryRow,
    {
        "reason": ("decision", "error_message"),
        "campaign": ("campaign_id",),
        "contact": ("contact_id",),
    },
    id=Column("id", global_ids("Delivery")),
    state=Column("status", DeliveryStatus),
    provider_code=Column("error_code"),
    provider_message_id=Column("message_id"),
)
relation(CAMPAIGN_DELIVERIES, _read_deliveries, permission=Permission.CONTACT_READ)
relation(DELIVERY_CAMPAIGN, CAMPAIGNS.by_ids, permission=Permission.CAMPAIGN_READ)
relation(DELIVERY_CONTACT, CONTACTS.by_ids, optional=True, permission=Permission.CONTACT_READ)
NODES: Final = (NodeType("Delivery", Permission.CONTACT_READ, DELIVERIES.by_ids),)


def _delivery_of(row: DeliveryRow) -> Delivery:
    """The delivery of a row: the API's type is read from the row itself."""
    return cast("Delivery", row)


@strawberry.type
class DeliveryMutations:
    @mutation(Requires(Permission.CAMPAIGN_SEND), audit="delivery.resolved")
    async def resolve_delivery(self, info: Info, input: ResolveDeliveryInput) -> ResolveDeliveryPayload:  # noqa: A002 - the contract's name
        """Record a person's decision about a message that may or may not have been sent.

        Its delivery must be `UNKNOWN` or `FAILED`. A `FAILED` delivery can be resolved again, also after `NOT_SENT`.
        Check the mail provider's records before you choose `SEND_AGAIN`. The decision and the user are recorded in
        the audit log.

        `INVALID_STATE` if the outcome has become known meanwhile, or for `SEND_AGAIN` if the campaign is cancelled.
        In production, `SENDER_NOT_CONFIRMED` for `SEND_AGAIN` if the sender of the campaign has been deleted.
        """
        async with info.context.work() as uow:
            row, campaign = await resolving.resolve(
                uow, uuid_of("Delivery", input.delivery_id), input.as_, policy=info.context.dependencies.sender_policy
            )
        return ResolveDeliveryPayload(delivery=_delivery_of(row), campaign=campaign_of(campaign))
