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

SENDER_ID = "ID of the sender. `NOT_FOUND` if there is no such sender."


SENDER_CONFIRMATION_PROBLEM: Final = Relation[UUID, str | None]("Sender.confirmationProblem")


@strawberry.type(
    description=(
        "An address from which an organization sends campaigns.\n\n"
        "In production, only confirmed senders can send. A sender is confirmed when a person with access to its "
        "mailbox confirms it on the page that the confirmation e-mail links to, or when the token of that e-mail "
        "is passed to `confirmSender`. Outside production, unconfirmed senders can send as well."
    )
)
class Sender(Node):
    email: EmailAddress = strawberry.field(description="E-mail address of the sender. Unique in the organization.")
    name: str = strawberry.field(description="Name that recipients see next to the address, 1 to 100 characters.")
    confirmed_at: DateTime | None = strawberry.field(
        description="The time at which the sender was confirmed. `null` if it is not confirmed yet."
    )
    is_default: bool = strawberry.field(
        description=(
            "Whether campaigns for which no sender was chosen are sent from this one. The first confirmed sender "
            "becomes the default, until `makeDefault` of `createSender` chooses another one. Outside production, an "
            "unconfirmed sender can be the default, such as the first one; the next sender that is confirmed "
            "replaces it."
        )
    )
    created_at: DateTime = strawberry.field(description="The time at which the sender was created.")

    @on_demand(
        "Why the latest confirmation e-mail was not sent, or not yet, for example the error text of the mail "
        "provider. `null` if there was no problem."
    )
    async def confirmation_problem(self, info: strawberry.Info) -> str | None:
        """Read together for all senders of a response."""
        return await SENDER_CONFIRMATION_PROBLEM.of(info, key_of(self))


SenderConnection = Connection[Sender]


@strawberry.input(description="Input of `createSender`.")
class CreateSenderInput:
    email: EmailAddress = strawberry.field(
        description=(
            "E-mail address of the sender. If the organization already has a sender with this address, it gets "
            "the new name, and another confirmation e-mail if it is not confirmed."
        )
    )
    name: str = strawberry.field(
        description=(
            "Name that recipients see next to the address, 1 to 100 characters. Name and address together may "
            "have at most 255 bytes."
        )
    )
    make_default: bool = strawberry.field(
        default=False,
        description=(
            "Whether to make it the default sender. An unconfirmed sender becomes the default when it is "
            "confirmed or, outside production, at once."
        ),
    )


@strawberry.type(description="The result of `createSender`.")
class CreateSenderPayload:
    sender: Sender | None = strawberry.field(
        default=None, description="The sender. `null` if the mutation was refused."
    )
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.input(description="Input of `confirmSender`.")
class ConfirmSenderInput:
    token: str = strawberry.field(
        description=(
            "The token of the confirmation e-mail: the last part of its link. It is valid for three days and "
            "works once; `INVALID` if it is unknown, used or expired."
        )
    )


@strawberry.type(description="The result of `confirmSender`.")
class ConfirmSenderPayload:
    sender: Sender | None = strawberry.field(
        default=None, description="The confirmed sender. `null` if the mutation was refused."
    )
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.input(description="Input of `deleteSender`.")
class DeleteSenderInput:
    sender_id: strawberry.ID = strawberry.field(description=SENDER_ID)


@strawberry.type(description="The result of `deleteSender`.")
class DeleteSenderPayload:
    deleted_sender_id: strawberry.ID | None = strawberry.field(
        default=None, description="ID of the deleted sender. `null` if the mutation was refused."
    )
    sender: Sender | None = strawberry.field(
        default=None, description="The sender as it was before deletion. `null` if the mutation was refused."
    )
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)
