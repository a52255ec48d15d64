"""Inputs that filter and sort lists of contacts."""

from enum import Enum

import strawberry

from models import contacts as models
from schema.connections import DateTimeFilter, SortDirection, TextFilter
from schema.nulls import condition, conditions, omittable


@strawberry.input(description=condition("A condition on the status. If both fields are given, both must hold."))
class ContactStatusFilter:
    eq: models.ContactStatus | None = omittable("Equal to this status.")
    in_: list[models.ContactStatus] | None = omittable(
        "One of these statuses. An empty list matches nothing.", name="in"
    )


@strawberry.input(
    description=condition(
        "A condition on the tags, case-sensitive. If several fields are given, all of them must hold. At most "
        "100 tags in total."
    )
)
class TagsFilter:
    has_any: list[str] | None = omittable("Has at least one of these tags.")
    has_all: list[str] | None = omittable("Has all of these tags.")
    has_none: list[str] | None = omittable("Has none of these tags.")


@strawberry.input(
    description=conditions(
        "Conditions for a list of contacts. If several are given, all of them must hold. Conditions can be "
        "nested 5 levels deep, with at most 50 in total; `TOO_MANY` for more."
    )
)
class ContactFilter:
    status: ContactStatusFilter | None = omittable("Filters by status.")
    tags: TagsFilter | None = omittable("Filters by tags.")
    list_ids: list[strawberry.ID] | None = omittable(
        "Contacts on at least one of these lists, at most 100 IDs. Unknown IDs match nothing."
    )
    created_at: DateTimeFilter | None = omittable("Filters by time of creation.")
    email: TextFilter | None = omittable("Filters by e-mail address. A condition has at most 254 characters.")
    and_: list["ContactFilter"] | None = omittable("All of these filters must match.", name="and")
    or_: list["ContactFilter"] | None = omittable("At least one of these filters must match.", name="or")
    not_: "ContactFilter | None" = omittable("This filter must not match.", name="not")


@strawberry.enum(description="Fields by which contacts can be sorted. Contacts with equal values are sorted by ID.")
class ContactSortField(Enum):
    CREATED_AT = strawberry.enum_value("created_at", description="Time of creation.")
    UPDATED_AT = strawberry.enum_value(
        "updated_at", description="Time of the latest change of the contact's own fields."
    )
    EMAIL = strawberry.enum_value("email", description="E-mail address, ignoring case.")
    LAST_NAME = strawberry.enum_value(
        "last_name",
        description="Last name, ignoring case. Contacts without a last name come first in ascending order.",
    )


@strawberry.input(description="Sort order of a list of contacts.")
class ContactSort:
    field: ContactSortField = strawberry.field(description="Field to sort by.")
    direction: SortDirection = strawberry.field(default=SortDirection.ASC, description="Sort direction.")
