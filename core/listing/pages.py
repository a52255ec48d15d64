"""Pages of a list by keyset: a cursor holds its row's sort key and id, so that a page costs the same everywhere."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from operator import attrgetter
from struct import Struct
from typing import Any, Final, Generic, Protocol, TypeVar, TypeVarTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Integer, Select, bindparam, tuple_
from sqlalchemy.orm import InstrumentedAttribute

from core import texts
from core.database.prepared import ProjectionCache, project
from core.errors import InvalidInput

DEFAULT_SIZE = 25
LARGEST_SIZE = 100
LONGEST_CURSOR = 2_000
TAG_BYTES, ID_BYTES = 2, 16
SECONDS_OF_DAY, MICROSECONDS = 86_400, 1_000_000
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

Ts = TypeVarTuple("Ts")
T = TypeVar("T")
K = TypeVar("K", str, datetime, UUID)


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


class Keys(Protocol[K]):
    """How an order's sort keys stand in cursors: after the order's tag, before the row's id.

    `fills_groups` says that all of these are of one length, which base64 writes without padding.
    """

    fills_groups: bool

    def packed(self, tag: bytes, keys: Iterable[tuple[K, UUID]]) -> list[bytes]:
        """The bytes of each key and id."""

    def unpacked(self, key: bytes) -> K:
        """The key of what stands between tag and id; raises `ValueError` for anything else."""


class Moments:
    """Times, to the microsecond. With tag and id they take 30 bytes."""

    fills_groups = True
    LAYOUT: Final = Struct(">2siII16s")
    KEY: Final = Struct(">iII")

    def packed(self, tag: bytes, keys: Iterable[tuple[datetime, UUID]]) -> list[bytes]:
        """The bytes of each time and id."""
        pack = self.LAYOUT.pack
        return [
            pack(tag, (since := moment - EPOCH).days, since.seconds, since.microseconds, id_.bytes)
            for moment, id_ in keys
        ]

    def unpacked(self, key: bytes) -> datetime:
        """The time."""
        if len(key) != self.KEY.size:
            raise ValueError("no time")
        days, seconds, microseconds = self.KEY.unpack(key)
        if seconds >= SECONDS_OF_DAY or microseconds >= MICROSECONDS:
            raise ValueError("no time")
        try:
            return EPOCH + timedelta(days, seconds, microseconds)
        except OverflowError:
            raise ValueError("out of range") from None


class Texts:
    """Texts as UTF-8, without what PostgreSQL would not take."""

    fills_groups = False

    def packed(self, tag: bytes, keys: Iterable[tuple[str, UUID]]) -> list[bytes]:
        """The bytes of each text and id."""
        return [tag + text.encode() + id_.bytes for text, id_ in keys]

    def unpacked(self, key: bytes) -> str:
        """The text."""
        text = key.decode()
        if texts.FORBIDDEN_IN_PROSE.search(text):
            raise ValueError("not a text")
        return text


class Ids:
    """Ids, for lists that are ordered by id alone."""

    fills_groups = False

    def packed(self, tag: bytes, keys: Iterable[tuple[UUID, UUID]]) -> list[bytes]:
        """The bytes of each id, once as the key and once as the id."""
        return [tag + key.bytes + id_.bytes for key, id_ in keys]

    def unpacked(self, key: bytes) -> UUID:
        """The id."""
        return UUID(bytes=key)


MOMENTS: Final = Moments()
TEXTS: Final = Texts()
IDS: Final = Ids()


@dataclass(frozen=True, slots=True, kw_only=True)
class Order(Generic[K]):
    """An order of a list: a key that is never NULL, then the id, both in one direction.

    Rows have both as attributes of the columns' names. `keys` writes the key into cursors.
    """

    name: str
    key: InstrumentedAttribute[K]
    id: InstrumentedAttribute[UUID]
    keys: Keys[K]
    descending: bool = False
    tag: bytes = field(init=False)
    read: Callable[[Any], tuple[K, UUID]] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tag", blake2b(self.name.encode(), digest_size=TAG_BYTES).digest())
        object.__setattr__(self, "read", attrgetter(self.key.key, self.id.key))

    def cursors(self, rows: Sequence[Any]) -> list[str]:
        """The cursor of each row: opaque to clients, and valid in this order alone."""
        packed = self.keys.packed(self.tag, map(self.read, rows))
        if not packed or not self.keys.fills_groups:
            return [urlsafe_b64encode(each).decode("ascii") for each in packed]
        # Then the text of all pieces is the text of each, one after the other.
        whole = urlsafe_b64encode(b"".join(packed)).decode("ascii")
        step = len(whole) // len(packed)
        return [whole[at : at + step] for at in range(0, len(whole), step)]


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


def position(order: Order[K], given: str, argument: str) -> tuple[K, UUID]:
    """Key and id of a cursor; raises `CursorInvalid`."""
    try:
        return unpacked(order, given)
    except ValueError:
        raise CursorInvalid(
            f"`{argument}` is not a cursor of this list in this order.",
            field=(argument,),
            suggestion="Use `endCursor` or `startCursor` of a page with the same `sort`, or leave it out.",
        ) from None


def unpacked(order: Order[K], given: str) -> tuple[K, UUID]:
    """Key and id of a cursor; raises `ValueError` for any other text."""
    if len(given) > LONGEST_CURSOR:
        raise ValueError("too long")
    found = urlsafe_b64decode(given.encode("ascii"))
    if len(found) < TAG_BYTES + ID_BYTES or urlsafe_b64encode(found).decode("ascii") != given:
        raise ValueError("not base64")
    if not found.startswith(order.tag):
        raise ValueError("of another list or order")
    return order.keys.unpacked(found[TAG_BYTES:-ID_BYTES]), UUID(bytes=found[-ID_BYTES:])


def positions(order: Order[K], page: PageRequest) -> dict[str, object]:
    """The parameters of a `paged` statement; raises `CursorInvalid`."""
    found: dict[str, object] = {"page_rows": page.size + 1}
    if page.after is not None:
        found["after_key"], found["after_id"] = position(order, page.after, "after")
    if page.before is not None:
        found["before_key"], found["before_id"] = position(order, page.before, "before")
    return found


def paged(statement: Select[*Ts], order: Order[K], page: PageRequest) -> Select[*Ts]:
    """The statement cut to the page, in reading direction, plus one row that tells whether there are more.

    It says which cursors there are, and holds none of them: `positions` come with each run.
    """
    if page.after is not None:
        statement = statement.where(beyond(order, "after", forward=True))
    if page.before is not None:
        statement = statement.where(beyond(order, "before", forward=False))
    if order.descending != page.backward:
        statement = statement.order_by(order.key.desc(), order.id.desc())
    else:
        statement = statement.order_by(order.key, order.id)
    return statement.limit(bindparam("page_rows", type_=Integer))


def beyond(order: Order[K], side: str, *, forward: bool) -> ColumnElement[bool]:
    """The rows on one side of a cursor, as one comparison of rows that an index can answer."""
    key_and_id = tuple_(order.key, order.id)
    bound = tuple_(
        bindparam(f"{side}_key", type_=order.key.type),
        bindparam(f"{side}_id", type_=order.id.type),
    )
    return key_and_id < bound if forward == order.descending else key_and_id > bound


class WholeList(Generic[*Ts]):
    """A list whose conditions never change: its statements are built once, one for each shape of a page.

    They are run with `positions`, and with values for the select's own parameters if it has any. `around` makes the
    statement out of that of the page, where it is but a part.
    With `columns`, a statement reads those of the select that are among them, and NULL for the others; when they are
    asked for the first time, it reads all.
    """

    def __init__(
        self, statement: Select[*Ts], around: Callable[[Select[*Ts]], Select[*Ts]] = lambda page: page
    ) -> None:
        self.statement = statement
        self.around = around
        self.shapes = ProjectionCache()

    def paged(
        self, order: Order[K], page: PageRequest, columns: frozenset[str] | None = None
    ) -> Select[*tuple[Any, ...]]:
        """The list's `paged` statement."""
        form = (order.name, order.descending, page.backward, page.after is None, page.before is None)
        return self.shapes.get(
            form, lambda chosen: self.around(paged(narrowed(self.statement, order, chosen), order, page)), columns
        )


def narrowed(statement: Select[*Ts], order: Order[Any], columns: frozenset[str] | None) -> Select[*Ts]:
    """The select with NULL in place of the columns that nobody asked for; the order's own are always there."""
    if columns is None:
        return statement
    wanted = columns | {order.key.key, order.id.key}
    return statement.with_only_columns(*project(statement.selected_columns, wanted))


def page_of(fetched: Sequence[T], order: Order[Any], page: PageRequest) -> Page[T]:
    """The page out of the rows of a `paged` statement."""
    more = len(fetched) > page.size
    rows = fetched[: page.size]
    if page.backward:
        return Page(rows[::-1], order, page.before is not None, more)
    return Page(rows, order, more, page.after is not None)
