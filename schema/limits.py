"""What an organisation may still ask for."""

from datetime import datetime

import strawberry

from schema.scalars import DateTime


@strawberry.type(description="The budget of cost points of the caller's organization, or of an anonymous address.")
class RateLimit:
    limit: int = strawberry.field(description="Points that may be spent in a minute.")
    remaining: int = strawberry.field(
        description="Points left in this minute, before this operation's own are given back."
    )
    reset_at: DateTime = strawberry.field(description="When the next minute begins, with the full budget.")


def rate_limit(*, limit: int, remaining: int, reset_at: datetime) -> RateLimit:
    """The API's form of a balance."""
    return RateLimit(limit=limit, remaining=remaining, reset_at=DateTime(reset_at))
