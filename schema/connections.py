"""Relay connections, and the filters and sorts that lists share.

`Connection[Contact]` is `ContactConnection` in the schema, with `Edge[Contact]` as `ContactEdge`.
"""

from enum import Enum
from typing import Annotated, Generic, Protocol, TypeVar

import strawberry

from schema.fields import COUNTING_COST, on_demand
from schema.nodes import PageInfo
from schema.nulls import condition, omittable
from schema.scalars import DateTime

T = TypeVar("T")

First = Annotated[
    int | None,
    strawberry.argument(
        description="Number of items to return from the start of the list, 1 to 100. Defaults to 25."
    ),
]
Last = Annotated[
    int | None,
    strawberry.argument(
        description=(
            "Number of items to return from the end of the list instead, 1 to 100. Cannot be combined with `first`."
        )
    ),
]
After = Annotated[
    str | None,
    strawberry.argument(description="Returns the items after this cursor. Use `endCursor` of the previous page."),
]
Before = Annotated[
    str | None,
    strawberry.argument(description="Returns the items before this cursor. Use `startCursor` of the following page."),
]


@strawberry.type(description="An item of a connection with its cursor.")
class Edge(Generic[T]):
    cursor: str = strawberry.field(
        description="Opaque position of the item, for use in `after` and `before` with the same sort order."
    )
    node: T = strawberry.field(description="The item.")


class Shown(Protocol[T]):
    """A page that a service has read, in the form that a connection returns."""

    def edges(self, info: strawberry.Info) -> list[Edge[T]]:
        """The rows with their cursors."""

    def nodes(self) -> list[T]:
        """The rows."""

    def page_info(self) -> PageInfo:
        """The cursors of the page's ends, and whether there are rows before and after it."""

    async def count(self) -> int:
        """The number of rows in the whole list."""


@strawberry.type(description="A page of a list, following the Relay connection specification.")
class Connection(Generic[T]):
    shown: strawberry.Private[Shown[T]]

    @on_demand("The items of the page, each with its cursor.")
    def edges(self, info: strawberry.Info) -> list[Edge[T]]:
        """Created only if selected."""
        return self.shown.edges(info)

    @on_demand("The items of the page, without cursors.")
    def nodes(self) -> list[T]:
        """Created only if selected."""
        return self.shown.nodes()

    @on_demand("Information for fetching the next or previous page.")
    def page_info(self) -> PageInfo:
        """Created only if selected."""
        return self.shown.page_info()

    @on_demand(
        ("Number of items on all pages together. Counted only if selected, which adds 10 points to the cost."),
        cost=COUNTING_COST,
    )
    async def total_count(self) -> int:
        """Counted only if selected."""
        return await self.shown.count()


@strawberry.enum(description="Sort direction.")
class SortDirection(Enum):
    ASC = strawberry.enum_value("asc", description="Ascending: lowest, earliest or alphabetically first value first.")
    DESC = strawberry.enum_value(
        "desc", description="Descending: highest, latest or alphabetically last value first."
    )


@strawberry.input(description=condition("A condition on a time. If several bounds are given, all of them must hold."))
class DateTimeFilter:
    gte: DateTime | None = omittable("At or after this time.")
    gt: DateTime | None = omittable("After this time.")
    lte: DateTime | None = omittable("At or before this time.")
    lt: DateTime | None = omittable("Before this time.")


@strawberry.input(
    description=condition(
        "A case-insensitive condition on a string. If several fields are given, all of them must hold."
    )
)
class TextFilter:
    eq: str | None = omittable("Equal to this string.")
    starts_with: str | None = omittable("Starts with this string.")
    contains: str | None = omittable("Contains this string.")
