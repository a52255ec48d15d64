"""Which contacts, and in which order."""

from enum import Enum

import strawberry

from models import contacts as models
from schema.connections import DateTimeFilter, SortDirection, TextFilter


@strawberry.input(description="A status; every condition that is given must hold.")
class ContactStatusFilter:
    eq: models.ContactStatus | None = strawberry.field(default=None, description="Is this.")
    in_: list[models.ContactStatus] | None = strawberry.field(
        default=None, name="in", description="Is one of these; an empty list matches nothing."
    )


@strawberry.input(description="Tags, compared exactly; every condition that is given must hold; 100 tags at most.")
class TagsFilter:
    has_any: list[str] | None = strawberry.field(default=None, description="Has at least one of these.")
    has_all: list[str] | None = strawberry.field(default=None, description="Has every one of these.")
    has_none: list[str] | None = strawberry.field(default=None, description="Has not one of these.")


@strawberry.input(description="Which contacts; every part that is given must hold. Nests up to 5 deep, 50 in all.")
class ContactFilter:
    status: ContactStatusFilter | None = strawberry.field(default=None, description="By status.")
    tags: TagsFilter | None = strawberry.field(default=None, description="By tags.")
    list_ids: list[strawberry.ID] | None = strawberry.field(
        default=None, description="On at least one of these lists, 100 at most; unknown ids match nothing."
    )
    created_at: DateTimeFilter | None = strawberry.field(default=None, description="By the time of creation.")
    email: TextFilter | None = strawberry.field(default=None, description="By address.")
    and_: list["ContactFilter"] | None = strawberry.field(
        default=None, name="and", description="Every one of these must hold as well."
    )
    or_: list["ContactFilter"] | None = strawberry.field(
        default=None, name="or", description="At least one of these must hold as well."
    )
    not_: "ContactFilter | None" = strawberry.field(default=None, name="not", description="This must not hold.")


@strawberry.enum(description="What contacts are ordered by; equal ones by id.")
class ContactSortField(Enum):
    CREATED_AT = strawberry.enum_value("created_at", description="When they were created.")
    UPDATED_AT = strawberry.enum_value("updated_at", description="When their own fields last changed.")
    EMAIL = strawberry.enum_value("email", description="By address, without regard to case.")
    LAST_NAME = strawberry.enum_value(
        "last_name", description="By last name, without regard to case; no name counts as before every name."
    )


@strawberry.input(description="The order of a list of contacts.")
class ContactSort:
    field: ContactSortField = strawberry.field(description="What to order by.")
    direction: SortDirection = strawberry.field(default=SortDirection.ASC, description="Which end comes first.")
