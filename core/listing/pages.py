"""Keyset pagination: each page costs the same, however far from the start of the list."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, TypeVarTuple

from sqlalchemy import ColumnElement, Integer, Select, bindparam, tuple_

from core.errors import InvalidInput
from core.listing.cursors import K
from core.listing.orders import Order

DEFAULT_SIZE = 25
MAX_SIZE = 100

Ts = TypeVarTuple("Ts")
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRequest:
    """Selects a page of a list: `size` rows after a cursor, or with `backward` before one."""

    size: int = DEFAULT_SIZE
    backward: bool = False
    after: str | None = None
    before: str | None = None


def page_request(
    first: int | None = None, last: int | None = None, after: str | None = None, before: str | None = None
) -> PageRequest:
    """The page request of Relay's four arguments; raises `InvalidInput` for a size that is not from 1 to 100."""
    if first is not None and last is not None:
        raise InvalidInput("Use `first` or `last`, not both.", field=("last",))
    name, size = ("last", last) if last is not None else ("first", first)
    size = DEFAULT_SIZE if size is None else size
    if not 1 <= size <= MAX_SIZE:
        raise InvalidInput(
            f"`{name}` must be from 1 to {MAX_SIZE}, not {size}.",
            field=(name,),
            suggestion="Read more pages: pass `endCursor` as `after`.",
        )
    backward = last is not None or (first is None and before is not None and after is None)
    return PageRequest(size=size, backward=backward, after=after or None, before=before or None)


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """The rows of a page in the list's order, and whether there are rows before and after it."""

    rows: Sequence[T]
    order: Order[Any]
    has_next: bool
    has_previous: bool

    @property
    def cursors(self) -> list[str]:
        """The cursors of the rows."""
        return self.order.cursors(self.rows)

    @property
    def ends(self) -> tuple[str, str] | tuple[None, None]:
        """The cursors of the first and the last row; None for an empty page."""
        if not self.rows:
            return None, None
        start, end = self.order.cursors((self.rows[0], self.rows[-1]))
        return start, end


def page_parameters(order: Order[K], page: PageRequest) -> dict[str, object]:
    """The parameters of a `paged` statement; raises `CursorInvalid`."""
    parameters: dict[str, object] = {"page_rows": page.size + 1}
    if page.after is not None:
        parameters["after_key"], parameters["after_id"] = order.position(page.after, "after")
    if page.before is not None:
        parameters["before_key"], parameters["before_id"] = order.position(page.before, "before")
    return parameters


def paged(statement: Select[*Ts], order: Order[K], page: PageRequest) -> Select[*Ts]:
    """The statement limited to a page, sorted in the direction of reading, plus one row to detect further rows.

    The values of cursors are not part of it: they are in the `page_parameters` of each execution.
    """
    if page.after is not None:
        statement = statement.where(_beyond(order, "after", forward=True))
    if page.before is not None:
        statement = statement.where(_beyond(order, "before", forward=False))
    if order.descending != page.backward:
        statement = statement.order_by(order.key.desc(), order.id.desc())
    else:
        statement = statement.order_by(order.key, order.id)
    return statement.limit(bindparam("page_rows", type_=Integer))


def _beyond(order: Order[K], side: str, *, forward: bool) -> ColumnElement[bool]:
    """The condition for rows on one side of a cursor: one row comparison, which an index can serve."""
    key_and_id = tuple_(order.key, order.id)
    bound = tuple_(
        bindparam(f"{side}_key", type_=order.key.type),
        bindparam(f"{side}_id", type_=order.id.type),
    )
    return key_and_id < bound if forward == order.descending else key_and_id > bound


def page_of(fetched: Sequence[T], order: Order[Any], page: PageRequest) -> Page[T]:
    """Build the page from the rows of a `paged` statement."""
    more = len(fetched) > page.size
    rows = fetched[: page.size]
    if page.backward:
        return Page(rows[::-1], order, page.before is not None, more)
    return Page(rows, order, more, page.after is not None)
