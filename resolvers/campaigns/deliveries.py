from collections.abc import Sequence
from uuid import UUID

import strawberry

from core.access.permissions import Permission
from resolvers.campaigns.mapping import campaign_of, delivery_of
from resolvers.context import Info
from resolvers.fields import Requires, mutation
from resolvers.nodes import fetches
from schema.campaigns.deliveries import Delivery, ResolveDeliveryInput, ResolveDeliveryPayload
from schema.nodes import uuid_of
from services import campaigns
from services.deliveries import listing


@fetches("Delivery", Permission.CONTACT_READ)
async def fetch_deliveries(info: Info, delivery_ids: Sequence[UUID]) -> dict[UUID, Delivery]:
    """Deliveries of the caller's organisation."""
    found = await listing.by_ids(info.context.reads, delivery_ids)
    return {delivery_id: delivery_of(info.context, row) for delivery_id, row in found.items()}


@strawberry.type
class DeliveryMutations:
    @mutation(Requires(Permission.CAMPAIGN_SEND))
    async def resolve_delivery(self, info: Info, input: ResolveDeliveryInput) -> ResolveDeliveryPayload:  # noqa: A002 - the contract's name
        """Decide about a delivery that is UNKNOWN or FAILED: it may have been sent, and nobody can tell.

        Look at the provider's own records before SEND_AGAIN. INVALID_STATE when the delivery was settled meanwhile,
        or when SEND_AGAIN is asked of a cancelled campaign; in production SENDER_NOT_CONFIRMED when it is asked of
        one whose sender was deleted. The audit log has who decided what.
        """
        async with info.context.work() as uow:
            row, campaign = await campaigns.resolve_delivery(
                uow, uuid_of("Delivery", input.delivery_id), input.as_, policy=info.context.runtime.sender_policy
            )
        return ResolveDeliveryPayload(
            delivery=delivery_of(info.context, row), campaign=campaign_of(info.context, campaign)
        )
