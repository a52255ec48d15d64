"""Relay connections, and the filters and sorts that lists share.

`Connection[Contact]` is `ContactConnection` in the schema, with `Edge[Contact]` as `ContactEdge`.
"""

from enum import Enum
from typing import Annotated, Generic, Protocol, TypeVar

import strawberry

from schema.fields import COUNTING_COST, on_demand
from schema.nodes import PageInfo
from schema.nulls import never_null
from schema.scalars import DateTime

T = TypeVar("T")

First = Annotated[
    int | None,
    strawberry.argument(description="The page's size, 1 to 100; 25 when `last` is left out too."),
]
Last = Annotated[
    int | None,
    strawberry.argument(description="The last rows instead of the first, 1 to 100; not together with `first`."),
]
After = Annotated[
    str | None, strawberry.argument(description="Start after this cursor (`endCursor` of the page before).")
]
Before = Annotated[
    str | None, strawberry.argument(description="End before this cursor (`startCursor` of the page after).")
]


@strawberry.type(description="A row of a list, and its cursor.")
class Edge(Generic[T]):
    cursor: str = strawberry.field(
        description="Opaque position of the row; for `after` and `before` of a list in the same order."
    )
    node: T = strawberry.field(description="The row itself.")


class Shown(Protocol[T]):
    """A page that a service has read, as a connection shows it."""

    def edges(self, info: strawberry.Info) -> list[Edge[T]]:
        """The rows with their cursors."""

    def nodes(self) -> list[T]:
        """The rows."""

    def page_info(self) -> PageInfo:
        """Where the page stands."""

    async def count(self) -> int:
        """How many rows the whole list has."""


@strawberry.type(description="A page of a list (Relay).")
class Connection(Generic[T]):
    shown: strawberry.Private[Shown[T]]

    @on_demand("The rows of the page with their cursors.")
    def edges(self, info: strawberry.Info) -> list[Edge[T]]:
        """Made as they were asked for."""
        return self.shown.edges(info)

    @on_demand("The rows of the page alone.")
    def nodes(self) -> list[T]:
        """Made as they were asked for."""
        return self.shown.nodes()

    @on_demand("Whether there are more, and where to go on.")
    def page_info(self) -> PageInfo:
        """Made as it was asked for."""
        return self.shown.page_info()

    @on_demand(
        "How many rows the whole list has; counted only when selected, which costs 10 points.", cost=COUNTING_COST
    )
    async def total_count(self) -> int:
        """Count, as it was asked for."""
        return await self.shown.count()


@strawberry.enum(description="Which end of a list comes first.")
class SortDirection(Enum):
    ASC = "asc"
    DESC = "desc"


@strawberry.input(description="A range of time; every bound that is given must hold.")
class DateTimeFilter:
    gte: DateTime | None = never_null("At this moment or later.")
    gt: DateTime | None = never_null("Later than this moment.")
    lte: DateTime | None = never_null("At this moment or earlier.")
    lt: DateTime | None = never_null("Earlier than this moment.")


@strawberry.input(description="A text, compared without regard to case; every condition that is given must hold.")
class TextFilter:
    eq: str | None = never_null("Is exactly this.")
    starts_with: str | None = never_null("Starts with this.")
    contains: str | None = never_null("Has this somewhere in it.")
