"""From a service's page to a Relay connection."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from schema.connections import Connection, Edge, page_info
from services.pages import Page

R = TypeVar("R")
T = TypeVar("T")


def connection_of(page: Page[R], show: Callable[[R], T], count: Callable[[], Awaitable[int]]) -> Connection[T]:
    """The connection of a page; `count` runs when `totalCount` is selected."""
    nodes = [show(row) for row in page.rows]
    return Connection(
        edges=[Edge(cursor=cursor, node=node) for cursor, node in zip(page.cursors, nodes, strict=True)],
        nodes=nodes,
        page_info=page_info(page.cursors, has_next=page.has_next, has_previous=page.has_previous),
        count=count,
    )
