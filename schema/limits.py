"""The rate limit of the API, in points of cost."""

from datetime import datetime

import strawberry

from schema.scalars import DateTime


@strawberry.type(
    description=(
        "The caller's rate limit: a budget of cost points for each minute. An organization has one budget; "
        "requests without a token have one for each IP address."
    )
)
class RateLimit:
    limit: int = strawberry.field(description="Points available in each minute.")
    remaining: int = strawberry.field(
        description="Points left in the current minute. The points reserved for this operation are already deducted."
    )
    reset_at: DateTime = strawberry.field(
        description="The time at which the next minute starts with the full budget."
    )


def rate_limit(*, limit: int, remaining: int, reset_at: datetime) -> RateLimit:
    """The API's form of a balance."""
    return RateLimit(limit=limit, remaining=remaining, reset_at=DateTime(reset_at))
