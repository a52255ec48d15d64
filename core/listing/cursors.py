"""Keyset cursors: opaque to clients, each holds the order's tag, its row's sort key and the row's id, in base64."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from struct import Struct
from typing import Final, Protocol, TypeVar
from uuid import UUID

from core import texts
from core.errors import InvalidInput

MAX_CURSOR_LENGTH: Final = 2_000
TAG_BYTES, ID_BYTES = 2, 16
SECONDS_OF_DAY, MICROSECONDS = 86_400, 1_000_000
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

K = TypeVar("K", str, datetime, UUID)


class CursorInvalid(InvalidInput):
    """The text is not a cursor of this list in this order."""


class Keys(Protocol[K]):
    """How an order's sort keys stand in cursors: after the order's tag, before the row's id.

    `fills_groups` says that all of these are of one length, which base64 writes without padding.
    """

    fills_groups: bool

    def pack(self, tag: bytes, keys: Iterable[tuple[K, UUID]]) -> list[bytes]:
        """The bytes of each key and id."""

    def unpack(self, key: bytes) -> K:
        """The key of what stands between tag and id; raises `ValueError` for anything else."""


class TimeKeys:
    """Times, to the microsecond. With tag and id they take 30 bytes."""

    fills_groups = True
    LAYOUT: Final = Struct(">2siII16s")
    KEY: Final = Struct(">iII")

    def pack(self, tag: bytes, keys: Iterable[tuple[datetime, UUID]]) -> list[bytes]:
        """The bytes of each time and id."""
        pack = self.LAYOUT.pack
        return [
            pack(tag, (since := moment - EPOCH).days, since.seconds, since.microseconds, id_.bytes)
            for moment, id_ in keys
        ]

    def unpack(self, key: bytes) -> datetime:
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


class TextKeys:
    """Texts as UTF-8, without what PostgreSQL would not take."""

    fills_groups = False

    def pack(self, tag: bytes, keys: Iterable[tuple[str, UUID]]) -> list[bytes]:
        """The bytes of each text and id."""
        return [tag + text.encode() + id_.bytes for text, id_ in keys]

    def unpack(self, key: bytes) -> str:
        """The text."""
        text = key.decode()
        if texts.FORBIDDEN_IN_PROSE.search(text):
            raise ValueError("not a text")
        return text


class IdKeys:
    """Ids, for lists that are ordered by id alone."""

    fills_groups = False

    def pack(self, tag: bytes, keys: Iterable[tuple[UUID, UUID]]) -> list[bytes]:
        """The bytes of each id, once as the key and once as the id."""
        return [tag + key.bytes + id_.bytes for key, id_ in keys]

    def unpack(self, key: bytes) -> UUID:
        """The id."""
        return UUID(bytes=key)


TIMES: Final = TimeKeys()
TEXTS: Final = TextKeys()
IDS: Final = IdKeys()


def encode_cursors(keys: Keys[K], tag: bytes, positions: Iterable[tuple[K, UUID]]) -> list[str]:
    """The cursor of each sort key and id."""
    packed = keys.pack(tag, positions)
    if not packed or not keys.fills_groups:
        return [urlsafe_b64encode(each).decode("ascii") for each in packed]
    return _encode_together(packed)


def _encode_together(packed: Sequence[bytes]) -> list[str]:
    """Base64 of pieces without padding in one call: the text of all is the text of each, one after the other."""
    whole = urlsafe_b64encode(b"".join(packed)).decode("ascii")
    step = len(whole) // len(packed)
    return [whole[at : at + step] for at in range(0, len(whole), step)]


def decode_cursor(keys: Keys[K], tag: bytes, given: str) -> tuple[K, UUID]:
    """Sort key and id of a cursor; raises `ValueError` for any other text."""
    if len(given) > MAX_CURSOR_LENGTH:
        raise ValueError("too long")
    found = urlsafe_b64decode(given.encode("ascii"))
    if len(found) < TAG_BYTES + ID_BYTES or urlsafe_b64encode(found).decode("ascii") != given:
        raise ValueError("not base64")
    if not found.startswith(tag):
        raise ValueError("of another list or order")
    return keys.unpack(found[TAG_BYTES:-ID_BYTES]), UUID(bytes=found[-ID_BYTES:])
