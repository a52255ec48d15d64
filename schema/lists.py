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

LIST_ID = "ID of the list. `NOT_FOUND` if there is no such list."
CONTACT_IDS = (
    "IDs of up to 1,000 contacts; `TOO_MANY` for more. If any of them does not exist, the mutation is "
    "refused with `NOT_FOUND`."
)


LIST_CONTACT_COUNT: Final = Relation[UUID, int]("List.contactCount")


@strawberry.type(description="A named list of contacts. Campaigns can be sent to lists.")
class List(Node):
    name: str = strawberry.field(description="Name of the list, 1 to 100 characters. Unique in the organization.")
    description: str | None = strawberry.field(description="Description of the list, up to 1,000 characters.")
    created_at: DateTime = strawberry.field(description="The time at which the list was created.")

    @on_demand(
        (
            "Number of contacts on the list, whatever their status. Counted only if selected, which adds 10 "
            "points to the cost."
        ),
        cost=COUNTING_COST,
    )
    async def contact_count(self, info: strawberry.Info) -> int:
        """Counted together for all lists of a response."""
        return await LIST_CONTACT_COUNT.of(info, key_of(self))


ListConnection = Connection[List]


@strawberry.input(description="Input of `createList`.")
class CreateListInput:
    name: str = strawberry.field(
        description="Name of the list, 1 to 100 characters. `TAKEN` if another list has this name."
    )
    description: str | None = strawberry.field(
        default=None, description="Description of the list, up to 1,000 characters."
    )


@strawberry.input(description="Input of `addToList`.")
class AddToListInput:
    list_id: strawberry.ID = strawberry.field(description=LIST_ID)
    contact_ids: list[strawberry.ID] = strawberry.field(description=CONTACT_IDS)


@strawberry.input(description="Input of `removeFromList`.")
class RemoveFromListInput:
    list_id: strawberry.ID = strawberry.field(description=LIST_ID)
    contact_ids: list[strawberry.ID] = strawberry.field(description=CONTACT_IDS)


@strawberry.type(description="The result of `createList`.")
class CreateListPayload:
    found: List | None = strawberry.field(
        default=None, name="list", description="The new list. `null` if the mutation was refused."
    )
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.type(description="The result of `addToList`.")
class AddToListPayload:
    found: List | None = strawberry.field(
        default=None, name="list", description="The list. `null` if the mutation was refused."
    )
    added: int = strawberry.field(
        default=0, description="Number of contacts added. Contacts who were already on the list are not counted."
    )
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.type(description="The result of `removeFromList`.")
class RemoveFromListPayload:
    found: List | None = strawberry.field(
        default=None, name="list", description="The list. `null` if the mutation was refused."
    )
    removed: int = strawberry.field(
        default=0, description="Number of contacts removed. Contacts who were not on the list are not counted."
    )
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)
