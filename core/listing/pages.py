"""Pages of a list by keyset, so that each page costs the same however far it lies from the beginning."""

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
    """Which page of a list: `size` rows after (or, backward, before) a cursor."""

    size: int = DEFAULT_SIZE
    backward: bool = False
    after: str | None = None
    before: str | None = None


def page_request(
    first: int | None = None, last: int | None = None, after: str | None = None, before: str | None = None
) -> PageRequest:
    """The page that Relay's four arguments ask for; raises `InvalidInput` unless 1 <= first or last <= 100."""
    if first is not None and last is not None:
        raise InvalidInput("Give `first` or `last`, not both.", field=("last",))
    name, size = ("last", last) if last is not None else ("first", first)
    size = DEFAULT_SIZE if size is None else size
    if not 1 <= size <= MAX_SIZE:
        raise InvalidInput(
            f"`{name}` must be from 1 to {MAX_SIZE}; you asked for {size}.",
            field=(name,),
            suggestion="Read more pages: pass `endCursor` as `after`.",
        )
    backward = last is not None or (first is None and before is not None and after is None)
    return PageRequest(size=size, backward=backward, after=after or None, before=before or None)


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """The rows of a page in the list's order, and whether there are more."""

    rows: Sequence[T]
    order: Order[Any]
    has_next: bool
    has_previous: bool

    @property
    def cursors(self) -> list[str]:
        """The cursor of each row."""
        return self.order.cursors(self.rows)

    @property
    def ends(self) -> tuple[str, str] | tuple[None, None]:
        """The cursors of the first and the last row; None of an empty page."""
        if not self.rows:
            return None, None
        start, end = self.order.cursors((self.rows[0], self.rows[-1]))
        return start, end


def page_parameters(order: Order[K], page: PageRequest) -> dict[str, object]:
    """The parameters of a `paged` statement; raises `CursorInvalid`."""
    found: dict[str, object] = {"page_rows": page.size + 1}
    if page.after is not None:
        found["after_key"], found["after_id"] = order.position(page.after, "after")
    if page.before is not None:
        found["before_key"], found["before_id"] = order.position(page.before, "before")
    return found


def paged(statement: Select[*Ts], order: Order[K], page: PageRequest) -> Select[*Ts]:
    """The statement cut to the page, in reading direction, plus one row that tells whether there are more.

    It says which cursors there are, and holds none of them: `page_parameters` come with each run.
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
    """The rows on one side of a cursor, as one comparison of rows that an index can answer."""
    key_and_id = tuple_(order.key, order.id)
    bound = tuple_(
        bindparam(f"{side}_key", type_=order.key.type),
        bindparam(f"{side}_id", type_=order.id.type),
    )
    return key_and_id < bound if forward == order.descending else key_and_id > bound


def page_of(fetched: Sequence[T], order: Order[Any], page: PageRequest) -> Page[T]:
    """The page out of the rows of a `paged` statement."""
    more = len(fetched) > page.size
    rows = fetched[: page.size]
    if page.backward:
        return Page(rows[::-1], order, page.before is not None, more)
    return Page(rows, order, more, page.after is not None)
