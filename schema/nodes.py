"""What every object of the API shares: the global id, and pages of a list."""

from typing import Final, cast
from uuid import UUID

import strawberry

from core.ids import decode_id, encode_global_id

NOTHING: Final = UUID(int=0)


@strawberry.interface(description="An object with a globally unique ID.")
class Node:
    id: strawberry.ID = strawberry.field(
        description="Globally unique, opaque ID. Pass it to `node(id:)` to fetch the object again."
    )


@strawberry.type(description="Information about a page, following the Relay connection specification.")
class PageInfo:
    has_next_page: bool = strawberry.field(description="Whether there are more items after `endCursor`.")
    has_previous_page: bool = strawberry.field(description="Whether there are more items before `startCursor`.")
    start_cursor: str | None = strawberry.field(description="Cursor of the first item. `null` if the page is empty.")
    end_cursor: str | None = strawberry.field(description="Cursor of the last item. `null` if the page is empty.")


def optional_uuid_of(type_name: str, value: str | None) -> UUID | None:
    """The UUID of an optional global id; for an invalid one, the id of an object that does not exist."""
    return None if value is None else uuid_of(type_name, value) or NOTHING


def global_id(type_name: str, value: UUID) -> strawberry.ID:
    """The global id of a node."""
    return cast("strawberry.ID", encode_global_id(type_name, value))


def uuid_of(type_name: str, value: str) -> UUID | None:
    """The UUID of a global id of this type; None for any other text, which is treated as an unknown id."""
    return decode_id(type_name, value)
