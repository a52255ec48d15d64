"""Pages of a list by keyset: a cursor holds its row's sort key and id, so that a page costs the same everywhere."""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar, TypeVarTuple
from uuid import UUID

import orjson
from sqlalchemy import ColumnElement, Integer, Select, bindparam, tuple_
from sqlalchemy.orm import InstrumentedAttribute

from core.db import kept
from core.errors import InvalidInput
from services import texts

DEFAULT_SIZE = 25
LARGEST_SIZE = 100
LONGEST_CURSOR = 2_000

Ts = TypeVarTuple("Ts")
T = TypeVar("T")
K = TypeVar("K", str, datetime, int)


class CursorInvalid(InvalidInput):
    """The text is not a cursor of this list in this order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRequest:
    """Which page of a list: `size` rows after (or, backward, before) a cursor."""

    size: int = DEFAULT_SIZE
    backward: bool = False
    after: str | None = None
    before: str | None = None


def requested(
    first: int | None = None, last: int | None = None, after: str | None = None, before: str | None = None
) -> PageRequest:
    """The page that Relay's four arguments ask for; raises `InvalidInput` unless 1 <= first or last <= 100."""
    if first is not None and last is not None:
        raise InvalidInput("Give `first` or `last`, not both.", field=("last",))
    name, size = ("last", last) if last is not None else ("first", first)
    size = DEFAULT_SIZE if size is None else size
    if not 1 <= size <= LARGEST_SIZE:
        raise InvalidInput(
            f"`{name}` must be from 1 to {LARGEST_SIZE}; you asked for {size}.",
            field=(name,),
            suggestion="Read more pages: pass `endCursor` as `after`.",
        )
    backward = last is not None or (first is None and before is not None and after is None)
    return PageRequest(size=size, backward=backward, after=after or None, before=before or None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order(Generic[K]):
    """An order of a list: a key that is never NULL, then the id, both in one direction.

    `value` reads the key off a row; `parse` reads it off a cursor and raises `ValueError` for anything else.
    """

    name: str
    key: InstrumentedAttribute[K]
    id: InstrumentedAttribute[UUID]
    value: Callable[[Any], K]
    parse: Callable[[object], K]
    descending: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[T]):
    """The rows of a page in the list's order, each with its cursor, and whether there are more."""

    rows: Sequence[T]
    cursors: Sequence[str]
    has_next: bool
    has_previous: bool


def moment(value: object) -> datetime:
    """A time off a cursor."""
    if not isinstance(value, str):
        raise ValueError("not a time")  # noqa: TRY004 - `parse` promises ValueError
    result = datetime.fromisoformat(value)
    if result.tzinfo is None:
        raise ValueError("no offset")
    try:
        return result.astimezone(UTC)
    except OverflowError:
        raise ValueError("out of range") from None


def text(value: object) -> str:
    """A text off a cursor, without what PostgreSQL would not take."""
    if not isinstance(value, str) or texts.FORBIDDEN_IN_PROSE.search(value):
        raise ValueError("not a text")
    return value


def cursor(order: Order[K], key: K, id_: UUID) -> str:
    """The cursor of a row: opaque to clients, and valid in this order alone."""
    return urlsafe_b64encode(orjson.dumps((order.name, key, str(id_)))).decode("ascii")


def position(order: Order[K], given: str, argument: str) -> tuple[K, UUID]:
    """Key and id of a cursor; raises `CursorInvalid`."""
    try:
        return unpacked(order, given)
    except (binascii.Error, ValueError, TypeError):
        raise CursorInvalid(
            f"`{argument}` is not a cursor of this list in this order.",
            field=(argument,),
            suggestion="Use `endCursor` or `startCursor` of a page with the same `sort`, or leave it out.",
        ) from None


def unpacked(order: Order[K], given: str) -> tuple[K, UUID]:
    """Key and id of a cursor; raises `ValueError` or `TypeError` for any other text."""
    if len(given) > LONGEST_CURSOR:
        raise ValueError("too long")
    name, key, id_ = orjson.loads(urlsafe_b64decode(given.encode("ascii")))
    if name != order.name or not isinstance(id_, str):
        raise ValueError("of another list or order")
    return order.parse(key), UUID(id_)


def positions(order: Order[K], page: PageRequest) -> dict[str, object]:
    """The parameters of a `paged` statement; raises `CursorInvalid`."""
    found: dict[str, object] = {"page_rows": page.size + 1}
    if page.after is not None:
        found["after_key"], found["after_id"] = position(order, page.after, "after")
    if page.before is not None:
        found["before_key"], found["before_id"] = position(order, page.before, "before")
    return found


def paged(statement: Select[*Ts], order: Order[K], page: PageRequest) -> Select[*Ts]:
    """The statement cut to the page, in reading direction, plus one row that tells whether there are more."""
    at = positions(order, page)
    if page.after is not None:
        statement = statement.where(beyond(order, "after", at, forward=True))
    if page.before is not None:
        statement = statement.where(beyond(order, "before", at, forward=False))
    if order.descending != page.backward:
        statement = statement.order_by(order.key.desc(), order.id.desc())
    else:
        statement = statement.order_by(order.key, order.id)
    return statement.limit(bindparam("page_rows", at["page_rows"], type_=Integer))


def beyond(order: Order[K], side: str, at: dict[str, object], *, forward: bool) -> ColumnElement[bool]:
    """The rows on one side of a cursor, as one comparison of rows that an index can answer."""
    key_and_id = tuple_(order.key, order.id)
    bound = tuple_(
        bindparam(f"{side}_key", at[f"{side}_key"], type_=order.key.type),
        bindparam(f"{side}_id", at[f"{side}_id"], type_=order.id.type),
    )
    return key_and_id < bound if forward == order.descending else key_and_id > bound


class WholeList(Generic[*Ts]):
    """A list without conditions: its statement is built once for each shape of a page, and run with `positions`."""

    def __init__(self, statement: Select[*Ts]) -> None:
        self.statement = statement
        self.shapes: dict[tuple[object, ...], Select[*Ts]] = {}

    def paged(self, order: Order[K], page: PageRequest) -> Select[*Ts]:
        """The list's `paged` statement. Its parameters must be given when it runs: it may hold another page's."""
        shape = (order.name, order.descending, page.backward, page.after is None, page.before is None)
        if shape not in self.shapes:
            self.shapes[shape] = kept(paged(self.statement, order, page))
        return self.shapes[shape]


def page_of(fetched: Sequence[T], order: Order[K], page: PageRequest, id_of: Callable[[T], UUID]) -> Page[T]:
    """The page out of the rows of a `paged` statement."""
    more = len(fetched) > page.size
    rows = fetched[: page.size]
    if page.backward:
        rows = rows[::-1]
    value = order.value
    return Page(
        rows=rows,
        cursors=[cursor(order, value(row), id_of(row)) for row in rows],
        has_next=page.before is not None if page.backward else more,
        has_previous=more if page.backward else page.after is not None,
    )
