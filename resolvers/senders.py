"""Senders."""

from collections.abc import Awaitable, Sequence
from functools import partial
from uuid import UUID

import strawberry
from strawberry.dataloader import DataLoader

from core.access.permissions import Permission
from core.listing.pages import page_request
from resolvers.connections import connection_of
from resolvers.context import Info, RequestContext
from resolvers.fields import Requires, mutation, query
from resolvers.nodes import fetches
from schema.connections import After, Before, First, Last
from schema.nodes import global_id, uuid_of
from schema.scalars import DateTime, EmailAddress
from schema.senders import (
    ConfirmSenderInput,
    ConfirmSenderPayload,
    CreateSenderInput,
    CreateSenderPayload,
    DeleteSenderInput,
    DeleteSenderPayload,
    Sender,
    SenderConnection,
)
from services import senders
from services.senders import SenderRow


class ReadRelations:
    """What is read about senders only when selected, for all of an answer at once."""

    def __init__(self, context: RequestContext) -> None:
        self.context = context

    def confirmation_problem(self, sender_id: UUID) -> Awaitable[str | None]:
        """Why the last confirmation was not sent."""
        return self.context.loader("confirmation problems", lambda: DataLoader(self.problems)).load(sender_id)

    async def problems(self, sender_ids: Sequence[UUID]) -> list[str | None]:
        """The problems of senders, in their order."""
        found = await senders.confirmation_problems(self.context.reads, sender_ids)
        return [found[sender_id] for sender_id in sender_ids]


def sender_of(context: RequestContext, row: SenderRow) -> Sender:
    """A sender as the API shows it."""
    return Sender(
        id=global_id("Sender", row.id),
        key=row.id,
        relations=ReadRelations(context),
        email=EmailAddress(row.email),
        name=row.name,
        confirmed_at=DateTime(row.confirmed_at) if row.confirmed_at else None,
        is_default=row.is_default,
        created_at=DateTime(row.created_at),
    )


@fetches("Sender", Permission.SENDER_READ)
async def fetch_senders(info: Info, sender_ids: Sequence[UUID]) -> dict[UUID, Sender]:
    """Senders of the caller's organisation."""
    rows = await senders.SENDERS.by_ids(info.context.reads, sender_ids)
    return {sender_id: sender_of(info.context, row) for sender_id, row in rows.items()}


@strawberry.type
class SenderQueries:
    @query(Requires(Permission.SENDER_READ))
    async def senders(
        self, info: Info, first: First = None, last: Last = None, after: After = None, before: Before = None
    ) -> SenderConnection:
        """The organization's senders, by address."""
        reads = info.context.reads
        page = await senders.SENDERS.page(reads, page_request(first, last, after, before))
        return connection_of(page, partial(sender_of, info.context), partial(senders.SENDERS.count, reads))


@strawberry.type
class SenderMutations:
    @mutation(Requires(Permission.SENDER_WRITE), audit="sender.created")
    async def create_sender(self, info: Info, input: CreateSenderInput) -> CreateSenderPayload:  # noqa: A002 - the contract's name
        """Add an address to send from; it is sent an e-mail that asks whether it agrees.

        LIMIT_EXCEEDED for more than 100 senders, more than one confirmation of an address in a minute or, in
        production, more than 20 of the organization in a day; RATE_LIMITED for an address that got too many;
        FEATURE_UNAVAILABLE for an address to confirm where the installation has no mail provider.
        """
        dependencies = info.context.dependencies
        address, name = senders.check_sender(dependencies.sender_policy, input.email, input.name)
        if await senders.needs_confirmation(info.context.reads, dependencies.sender_policy, address):
            await dependencies.mail_limits.confirmations.count(address.norm)
        async with info.context.work() as uow:
            row = await senders.create(
                uow, dependencies.sender_policy, address, name, make_default=input.make_default
            )
        return CreateSenderPayload(sender=sender_of(info.context, row))

    @mutation(Requires(Permission.SENDER_WRITE), audit="sender.confirmed")
    async def confirm_sender(self, info: Info, input: ConfirmSenderInput) -> ConfirmSenderPayload:  # noqa: A002 - the same
        """Confirm a sender of the organization with the token that its address was sent, as the link's page does."""
        async with info.context.work() as uow:
            row = await senders.confirm(uow, input.token)
        return ConfirmSenderPayload(sender=sender_of(info.context, row))

    @mutation(Requires(Permission.SENDER_WRITE), audit="sender.deleted")
    async def delete_sender(self, info: Info, input: DeleteSenderInput) -> DeleteSenderPayload:  # noqa: A002 - the same
        """Delete a sender. INVALID_STATE while campaigns that are scheduled or being sent go out from it.

        Drafts that chose it go out from the default sender. After the default one the sender that was confirmed first
        becomes the default.
        """
        async with info.context.work() as uow:
            row = await senders.delete(
                uow, info.context.dependencies.sender_policy, uuid_of("Sender", input.sender_id)
            )
        return DeleteSenderPayload(deleted_sender_id=global_id("Sender", row.id), sender=sender_of(info.context, row))
