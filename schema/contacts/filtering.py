"""Which contacts, and in which order."""

from enum import Enum

import strawberry

from models import contacts as models
from schema.connections import DateTimeFilter, SortDirection, TextFilter
from schema.nulls import never_null


@strawberry.input(description="A status; every condition that is given must hold.")
class ContactStatusFilter:
    eq: models.ContactStatus | None = never_null("Is this.")
    in_: list[models.ContactStatus] | None = never_null("Is one of these; an empty list matches nothing.", name="in")


@strawberry.input(description="Tags, compared exactly; every condition that is given must hold; 100 tags at most.")
class TagsFilter:
    has_any: list[str] | None = never_null("Has at least one of these.")
    has_all: list[str] | None = never_null("Has every one of these.")
    has_none: list[str] | None = never_null("Has not one of these.")


@strawberry.input(description="Which contacts; every part that is given must hold. Nests up to 5 deep, 50 in all.")
class ContactFilter:
    status: ContactStatusFilter | None = never_null("By status.")
    tags: TagsFilter | None = never_null("By tags.")
    list_ids: list[strawberry.ID] | None = never_null(
        "On at least one of these lists, 100 at most; unknown ids match nothing."
    )
    created_at: DateTimeFilter | None = never_null("By the time of creation.")
    email: TextFilter | None = never_null("By address.")
    and_: list["ContactFilter"] | None = never_null("Every one of these must hold as well.", name="and")
    or_: list["ContactFilter"] | None = never_null("At least one of these must hold as well.", name="or")
    not_: "ContactFilter | None" = never_null("This must not hold.", name="not")


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
