"""Senders."""

from typing import Final, cast

import strawberry

from core.access.permissions import Permission
from core.ids import global_ids
from core.listing.pages import page_request
from execution import Column, rows
from resolvers.context import Info
from resolvers.fields import Requires, mutation, query
from resolvers.listing import connection
from resolvers.nodes import NodeType
from resolvers.relations import relation
from schema.connections import After, Before, First, Last
from schema.nodes import global_id, uuid_of
from schema.senders import (
    SENDER_CONFIRMATION_PROBLEM,
    ConfirmSenderInput,
    ConfirmSenderPayload,
    CreateSenderInput,
    CreateSenderPayload,
    DeleteSenderInput,
    DeleteSenderPayload,
    Sender,
    SenderConnection,
)
from services.senders import changing, confirming, reading, registration
from services.senders.reading import SENDERS, SenderRow

rows.register(Sender, SenderRow, ("id",), id=Column("id", global_ids("Sender")))
relation(SENDER_CONFIRMATION_PROBLEM, reading.confirmation_problems)
NODES: Final = (NodeType("Sender", Permission.SENDER_READ, SENDERS.by_ids),)


def sender_of(row: SenderRow) -> Sender:
    """A sender as the API shows it, which is how the service has it."""
    return cast("Sender", row)


@strawberry.type
class SenderQueries:
    @query(Requires(Permission.SENDER_READ))
    async def senders(
        self, info: Info, first: First = None, last: Last = None, after: After = None, before: Before = None
    ) -> SenderConnection:
        """The organization's senders, by address."""
        return await connection(info, SENDERS, page_request(first, last, after, before))


@strawberry.type
class SenderMutations:
    @mutation(Requires(Permission.SENDER_WRITE), audit="sender.created")
    async def create_sender(self, info: Info, input: CreateSenderInput) -> CreateSenderPayload:  # noqa: A002 - the contract's name
        """Add an address to send from; it is sent an e-mail that asks whether it agrees.

        LIMIT_EXCEEDED for more than 100 senders, more than one confirmation of an address in a minute or, in
        production, more than 20 of the organization in a day; RATE_LIMITED for an address that got too many;
        FEATURE_UNAVAILABLE for an address to confirm where the installation has no mail provider.
        """
        row = await registration.register(
            info.context.dependencies.sender_registration,
            info.context.caller,
            input.email,
            input.name,
            make_default=input.make_default,
        )
        return CreateSenderPayload(sender=sender_of(row))

    @mutation(Requires(Permission.SENDER_WRITE), audit="sender.confirmed")
    async def confirm_sender(self, info: Info, input: ConfirmSenderInput) -> ConfirmSenderPayload:  # noqa: A002 - the same
        """Confirm a sender of the organization with the token that its address was sent, as the link's page does."""
        async with info.context.work() as uow:
            row = await confirming.confirm(uow, input.token)
        return ConfirmSenderPayload(sender=sender_of(row))

    @mutation(Requires(Permission.SENDER_WRITE), audit="sender.deleted")
    async def delete_sender(self, info: Info, input: DeleteSenderInput) -> DeleteSenderPayload:  # noqa: A002 - the same
        """Delete a sender. INVALID_STATE while campaigns that are scheduled or being sent go out from it.

        Drafts that chose it go out from the default sender. After the default one the sender that was confirmed first
        becomes the default.
        """
        async with info.context.work() as uow:
            row = await changing.delete(
                uow, info.context.dependencies.sender_policy, uuid_of("Sender", input.sender_id)
            )
        return DeleteSenderPayload(deleted_sender_id=global_id("Sender", row.id), sender=sender_of(row))
