from enum import Enum

import strawberry

from models.campaigns import CampaignStatus
from schema.campaigns.campaign import Campaign
from schema.connections import Connection, DateTimeFilter, SortDirection
from schema.nulls import never_null

CampaignConnection = Connection[Campaign]


@strawberry.input(description="A status; every condition that is given must hold.")
class CampaignStatusFilter:
    eq: CampaignStatus | None = never_null("Is this.")
    in_: list[CampaignStatus] | None = never_null("Is one of these; an empty list matches nothing.", name="in")


@strawberry.input(description="A name.")
class CampaignNameFilter:
    contains: str | None = never_null(
        "Has this somewhere in it, in any case, as `contacts(search:)` compares; at most 200 characters."
    )


@strawberry.input(description="Which campaigns; every part that is given must hold. Nests up to 5 deep, 50 in all.")
class CampaignFilter:
    status: CampaignStatusFilter | None = never_null("By status.")
    created_at: DateTimeFilter | None = never_null("By the time of creation.")
    name: CampaignNameFilter | None = never_null("By name.")
    archived: bool | None = never_null(
        "False leaves the archived ones out, true all others; left out, both are listed."
    )
    and_: list["CampaignFilter"] | None = never_null("Every one of these must hold as well.", name="and")
    or_: list["CampaignFilter"] | None = never_null("At least one of these must hold as well.", name="or")
    not_: "CampaignFilter | None" = never_null("This must not hold.", name="not")


@strawberry.enum(description="What campaigns are ordered by; equal ones by id.")
class CampaignSortField(Enum):
    CREATED_AT = strawberry.enum_value("created_at", description="When they were made.")
    UPDATED_AT = strawberry.enum_value("updated_at", description="When they last changed.")
    NAME = strawberry.enum_value("name", description="By name.")


@strawberry.input(description="The order of a list of campaigns.")
class CampaignSort:
    field: CampaignSortField = strawberry.field(description="What to order by.")
    direction: SortDirection = strawberry.field(default=SortDirection.ASC, description="Which end comes first.")
