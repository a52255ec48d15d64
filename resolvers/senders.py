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


def _sender_of(row: SenderRow) -> Sender:
    """The sender of a row: the API's type is read from the row itself."""
    return cast("Sender", row)


@strawberry.type
class SenderQueries:
    @query(Requires(Permission.SENDER_READ))
    async def senders(
        self, info: Info, first: First = None, last: Last = None, after: After = None, before: Before = None
    ) -> SenderConnection:
        """The senders of the organization, sorted by e-mail address."""
        return await connection(info, SENDERS, page_request(first, last, after, before))


@strawberry.type
class SenderMutations:
    @mutation(Requires(Permission.SENDER_WRITE), audit="sender.created")
    async def create_sender(self, info: Info, input: CreateSenderInput) -> CreateSenderPayload:  # noqa: A002 - the contract's name
        """Add a sender, or rename the sender with this address.

        A confirmation e-mail is sent to the address, unless the sender is confirmed already.

        An organization can have 100 senders. In production, a sender gets at most one confirmation e-mail in a
        minute, and an organization can send 20 a day; `LIMIT_EXCEEDED` beyond any of these limits. Fails with
        the error `RATE_LIMITED` if all organizations together have sent 20 in a day to the same address.
        `FEATURE_UNAVAILABLE` if a confirmation is needed and the installation has no mail provider.
        """
        row = await registration.register(
            info.context.dependencies.sender_registration,
            info.context.caller,
            input.email,
            input.name,
            make_default=input.make_default,
        )
        return CreateSenderPayload(sender=_sender_of(row))

    @mutation(Requires(Permission.SENDER_WRITE), audit="sender.confirmed")
    async def confirm_sender(self, info: Info, input: ConfirmSenderInput) -> ConfirmSenderPayload:  # noqa: A002 - the same
        """Confirm a sender with the token of its confirmation e-mail. The link in that e-mail does the same."""
        async with info.context.work() as uow:
            row = await confirming.confirm(uow, input.token)
        return ConfirmSenderPayload(sender=_sender_of(row))

    @mutation(Requires(Permission.SENDER_WRITE), audit="sender.deleted")
    async def delete_sender(self, info: Info, input: DeleteSenderInput) -> DeleteSenderPayload:  # noqa: A002 - the same
        """Delete a sender. `INVALID_STATE` while campaigns with this sender are scheduled or being sent.

        Drafts with this sender are sent from the default sender instead. If the default sender is deleted, the sender
        that was confirmed first becomes the default.
        """
        async with info.context.work() as uow:
            row = await changing.delete(
                uow, info.context.dependencies.sender_policy, uuid_of("Sender", input.sender_id)
            )
        return DeleteSenderPayload(deleted_sender_id=global_id("Sender", row.id), sender=_sender_of(row))
