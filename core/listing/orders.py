"""Orders of a list: by a column that is never NULL, then by id, both in the same direction."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import blake2b
from operator import attrgetter
from typing import Any, Final, Generic
from uuid import UUID

from sqlalchemy.orm import InstrumentedAttribute

from core.listing.cursors import IDS, TAG_BYTES, TEXTS, TIMES, CursorInvalid, K, Keys, decode_cursor, encode_cursors

KEYS: Final[dict[type, Keys[Any]]] = {datetime: TIMES, str: TEXTS, UUID: IDS}


@dataclass(frozen=True, slots=True)
class Order(Generic[K]):
    """An order by a column that is never NULL, then by `id`.

    Rows must have both as attributes. The order's tag is in its cursors, so cursors of another list or order are
    refused.
    """

    key: InstrumentedAttribute[K]
    descending: bool = field(default=False, kw_only=True)
    id: InstrumentedAttribute[UUID] = field(init=False)
    keys: Keys[K] = field(init=False)
    tag: bytes = field(init=False)
    read: Callable[[Any], tuple[K, UUID]] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "id", self.key.class_.id)
        put(self, "keys", KEYS[self.key.type.python_type])
        name = f"{self.key.class_.__tablename__}.{self.key.key}"
        put(self, "tag", blake2b(name.encode(), digest_size=TAG_BYTES).digest())
        put(self, "read", attrgetter(self.key.key, self.id.key))

    def directed(self, *, descending: bool) -> "Order[K]":
        """The same column in this direction."""
        return self if descending is self.descending else replace(self, descending=descending)

    def cursors(self, rows: Sequence[Any]) -> list[str]:
        """The cursors of the rows: opaque to clients, and valid only in this order."""
        return encode_cursors(self.keys, self.tag, map(self.read, rows))

    def position(self, cursor: str, argument: str) -> tuple[K, UUID]:
        """The sort key and id in a cursor; raises `CursorInvalid`, with `argument` as the field."""
        try:
            return decode_cursor(self.keys, self.tag, cursor)
        except ValueError:
            raise CursorInvalid(
                f"`{argument}` is not a cursor of this list in this order.",
                field=(argument,),
                suggestion="Use `endCursor` or `startCursor` of a page with the same `sort`, or omit it.",
            ) from None
