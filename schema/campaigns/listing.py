from enum import Enum

import strawberry

from models.campaigns import CampaignStatus
from schema.campaigns.campaign import Campaign
from schema.connections import Connection, DateTimeFilter, SortDirection
from schema.nulls import condition, conditions, omittable

CampaignConnection = Connection[Campaign]


@strawberry.input(description=condition("A condition on the status. If both fields are given, both must hold."))
class CampaignStatusFilter:
    eq: CampaignStatus | None = omittable("Equal to this status.")
    in_: list[CampaignStatus] | None = omittable("One of these statuses. An empty list matches nothing.", name="in")


@strawberry.input(description=condition("A condition on the name."))
class CampaignNameFilter:
    contains: str | None = omittable(
        "Contains this text of at most 200 characters, case-insensitive. Characters are compared as in "
        "`contacts(search:)`."
    )


@strawberry.input(
    description=conditions(
        "Conditions for a list of campaigns. If several are given, all of them must hold. Conditions can be "
        "nested 5 levels deep, with at most 50 in total; `TOO_MANY` for more."
    )
)
class CampaignFilter:
    status: CampaignStatusFilter | None = omittable("Filters by status.")
    created_at: DateTimeFilter | None = omittable("Filters by time of creation.")
    name: CampaignNameFilter | None = omittable("Filters by name.")
    archived: bool | None = omittable(
        "If `true`, only archived campaigns; if `false`, only campaigns that are not archived. If omitted, both."
    )
    and_: list["CampaignFilter"] | None = omittable("All of these filters must match.", name="and")
    or_: list["CampaignFilter"] | None = omittable("At least one of these filters must match.", name="or")
    not_: "CampaignFilter | None" = omittable("This filter must not match.", name="not")


@strawberry.enum(description="Fields by which campaigns can be sorted. Campaigns with equal values are sorted by ID.")
class CampaignSortField(Enum):
    CREATED_AT = strawberry.enum_value("created_at", description="Time of creation.")
    UPDATED_AT = strawberry.enum_value("updated_at", description="Time of the latest change.")
    NAME = strawberry.enum_value("name", description="Internal name.")


@strawberry.input(description="Sort order of a list of campaigns.")
class CampaignSort:
    field: CampaignSortField = strawberry.field(description="Field to sort by.")
    direction: SortDirection = strawberry.field(default=SortDirection.ASC, description="Sort direction.")
