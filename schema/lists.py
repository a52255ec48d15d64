"""Lists: named sets of contacts."""

from typing import Final
from uuid import UUID

import strawberry

from schema.connections import Connection
from schema.errors import USER_ERRORS, UserError
from schema.fields import COUNTING_COST, on_demand
from schema.nodes import Node
from schema.relations import Relation, key_of
from schema.scalars import DateTime

LIST_ID = "The list; NOT_FOUND when there is none."
CONTACT_IDS = "Up to 1,000 contacts (TOO_MANY beyond); NOT_FOUND for one that is unknown, and nothing is changed."


LIST_CONTACT_COUNT: Final = Relation[UUID, int]("List.contactCount")


@strawberry.type(description="A named set of contacts that a campaign can be sent to.")
class List(Node):
    name: str = strawberry.field(description="1 to 100 characters, unique in the organization.")
    description: str | None = strawberry.field(description="What it is for, up to 1,000 characters.")
    created_at: DateTime = strawberry.field(description="When it was made.")

    @on_demand(
        "How many contacts are on it, whatever their status; counted only when selected, which costs 10 points.",
        cost=COUNTING_COST,
    )
    async def contact_count(self, info: strawberry.Info) -> int:
        """Counted together for all lists of an answer."""
        return await LIST_CONTACT_COUNT.of(info, key_of(self))


ListConnection = Connection[List]


@strawberry.input(description="A new list.")
class CreateListInput:
    name: str = strawberry.field(description="1 to 100 characters; TAKEN when there is a list of this name.")
    description: str | None = strawberry.field(default=None, description="Up to 1,000 characters.")


@strawberry.input(description="Contacts to put on a list.")
class AddToListInput:
    list_id: strawberry.ID = strawberry.field(description=LIST_ID)
    contact_ids: list[strawberry.ID] = strawberry.field(description=CONTACT_IDS)


@strawberry.input(description="Contacts to take off a list.")
class RemoveFromListInput:
    list_id: strawberry.ID = strawberry.field(description=LIST_ID)
    contact_ids: list[strawberry.ID] = strawberry.field(description=CONTACT_IDS)


@strawberry.type(description="The new list, or why there is none.")
class CreateListPayload:
    found: List | None = strawberry.field(default=None, name="list", description="The list. Null on refusal.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.type(description="The list with the contacts on it.")
class AddToListPayload:
    found: List | None = strawberry.field(default=None, name="list", description="The list. Null on refusal.")
    added: int = strawberry.field(default=0, description="How many of the contacts were not on it before.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.type(description="The list without the contacts.")
class RemoveFromListPayload:
    found: List | None = strawberry.field(default=None, name="list", description="The list. Null on refusal.")
    removed: int = strawberry.field(default=0, description="How many of the contacts were on it before.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)
