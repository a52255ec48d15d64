"""Builds Relay connections from the pages of services."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar, cast

import strawberry

from core.listing.pages import Page
from execution import rows, selected_fields
from schema.connections import Connection, Edge
from schema.nodes import PageInfo

R = TypeVar("R")
T = TypeVar("T")


class EdgeRow(NamedTuple):
    """An edge of a connection, with the row of its node."""

    cursor: str | None
    node: object


rows.register(Edge, EdgeRow)


class _PageConnection(Generic[R, T]):
    """A page whose rows are the nodes of the connection."""

    def __init__(self, page: Page[R], count: Callable[[], Awaitable[int]]) -> None:
        self.page = page
        self._count = count
        self.cursors: list[str] = []

    def edges(self, info: strawberry.Info) -> list[Edge[T]]:
        """The edges. Cursors are made only when they are selected."""
        nodes = self.nodes()
        cursors: Sequence[str | None] = [None] * len(nodes)
        if "cursor" in selected_fields(info):
            cursors = self.cursors = self.page.cursors
        new = tuple.__new__
        return cast("list[Edge[T]]", [new(EdgeRow, edge) for edge in zip(cursors, nodes, strict=True)])

    def nodes(self) -> list[T]:
        """The rows."""
        return cast("list[T]", self.page.rows)

    def page_info(self) -> PageInfo:
        """The cursors of the page's ends, and whether there are more pages."""
        page = self.page
        start, end = (self.cursors[0], self.cursors[-1]) if self.cursors else page.ends
        return PageInfo(
            has_next_page=page.has_next, has_previous_page=page.has_previous, start_cursor=start, end_cursor=end
        )

    async def count(self) -> int:
        """The number of rows of the whole list."""
        return await self._count()


def connection_of(page: Page[Any], count: Callable[[], Awaitable[int]]) -> Connection[Any]:
    """The connection of a page, whose rows are its nodes; `count` is called when `totalCount` is selected."""
    return Connection(shown=_PageConnection(page, count))
