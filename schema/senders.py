"""Senders: the addresses that an organization sends from."""

from typing import Final
from uuid import UUID

import strawberry

from schema.connections import Connection
from schema.errors import USER_ERRORS, UserError
from schema.fields import on_demand
from schema.nodes import Node
from schema.relations import Relation, key_of
from schema.scalars import DateTime, EmailAddress

SENDER_ID = "Global id of the sender; NOT_FOUND for any other."


SENDER_CONFIRMATION_PROBLEM: Final = Relation[UUID, str | None]("Sender.confirmationProblem")


@strawberry.type(
    description=(
        "An address that the organization sends from. In production only a confirmed one sends: whoever reads its "
        "mailbox has opened the link in our e-mail and agreed, or somebody has passed the token to `confirmSender`. "
        "In development every sender counts as confirmed."
    )
)
class Sender(Node):
    email: EmailAddress = strawberry.field(description="The address; unique in the organization.")
    name: str = strawberry.field(description="What recipients read beside the address, 1 to 100 characters.")
    confirmed_at: DateTime | None = strawberry.field(
        description="When the mailbox agreed; null as long as it has not."
    )
    is_default: bool = strawberry.field(
        description="Whether campaigns without a sender go out from it: the first one confirmed, until another is "
        "made it. In development the first one added, until one is confirmed."
    )
    created_at: DateTime = strawberry.field(description="When it was added.")

    @on_demand("Why the last confirmation has not been sent, in the provider's words; null when nothing is wrong.")
    async def confirmation_problem(self, info: strawberry.Info) -> str | None:
        """Read together for all senders of an answer."""
        return await SENDER_CONFIRMATION_PROBLEM.of(info, key_of(self))


SenderConnection = Connection[Sender]


@strawberry.input(description="An address to send from.")
class CreateSenderInput:
    email: EmailAddress = strawberry.field(
        description="The address. One that the organization has is renamed and, unless confirmed, asked again."
    )
    name: str = strawberry.field(
        description="What recipients read beside the address: 1 to 100 characters, with it at most 255 bytes."
    )
    make_default: bool = strawberry.field(
        default=False,
        description="Make it the default sender: at once where it is confirmed, or in development, else when it is.",
    )


@strawberry.type(description="The sender, or why there is none.")
class CreateSenderPayload:
    sender: Sender | None = strawberry.field(default=None, description="The sender. Null on refusal.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.input(description="The token out of a confirmation.")
class ConfirmSenderInput:
    token: str = strawberry.field(
        description="The last part of the link in the e-mail. Good for three days, and for one confirmation."
    )


@strawberry.type(description="The confirmed sender, or why it is not.")
class ConfirmSenderPayload:
    sender: Sender | None = strawberry.field(default=None, description="The sender. Null on refusal.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.input(description="The sender to delete.")
class DeleteSenderInput:
    sender_id: strawberry.ID = strawberry.field(description=SENDER_ID)


@strawberry.type(description="The deleted sender as it last was, or why it is still there.")
class DeleteSenderPayload:
    deleted_sender_id: strawberry.ID | None = strawberry.field(
        default=None, description="Global id of what was deleted; it answers as unknown now. Null on refusal."
    )
    sender: Sender | None = strawberry.field(default=None, description="The sender as it last was. Null on refusal.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)
