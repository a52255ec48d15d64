"""Keyset cursors: the order's tag, a row's sort key and its id, in base64; opaque to clients."""

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
    """Encodes the sort keys of an order in cursors, between the order's tag and the row's id.

    `fills_groups` means that tag, key and id always have the same total length, and no base64 padding.
    """

    fills_groups: bool

    def pack(self, tag: bytes, keys: Iterable[tuple[K, UUID]]) -> list[bytes]:
        """The bytes of each cursor."""

    def unpack(self, key: bytes) -> K:
        """Decode the bytes between tag and id; raises `ValueError` if they are not a key."""


class TimeKeys:
    """Times in microseconds. With tag and id a cursor has 30 bytes."""

    fills_groups = True
    LAYOUT: Final = Struct(">2siII16s")
    KEY: Final = Struct(">iII")

    def pack(self, tag: bytes, keys: Iterable[tuple[datetime, UUID]]) -> list[bytes]:
        """The bytes of each cursor."""
        pack = self.LAYOUT.pack
        return [
            pack(tag, (since := moment - EPOCH).days, since.seconds, since.microseconds, id_.bytes)
            for moment, id_ in keys
        ]

    def unpack(self, key: bytes) -> datetime:
        """Decode a time; raises `ValueError`."""
        if len(key) != self.KEY.size:
            raise ValueError("not a time")
        days, seconds, microseconds = self.KEY.unpack(key)
        if seconds >= SECONDS_OF_DAY or microseconds >= MICROSECONDS:
            raise ValueError("not a time")
        try:
            return EPOCH + timedelta(days, seconds, microseconds)
        except OverflowError:
            raise ValueError("out of range") from None


class TextKeys:
    """Texts as UTF-8, without characters that PostgreSQL refuses."""

    fills_groups = False

    def pack(self, tag: bytes, keys: Iterable[tuple[str, UUID]]) -> list[bytes]:
        """The bytes of each cursor."""
        return [tag + text.encode() + id_.bytes for text, id_ in keys]

    def unpack(self, key: bytes) -> str:
        """Decode a text; raises `ValueError`."""
        text = key.decode()
        if texts.FORBIDDEN_IN_PROSE.search(text):
            raise ValueError("not a text")
        return text


class IdKeys:
    """Ids, for lists ordered only by id."""

    fills_groups = False

    def pack(self, tag: bytes, keys: Iterable[tuple[UUID, UUID]]) -> list[bytes]:
        """The bytes of each cursor, which contains the id twice: as the key and as the id."""
        return [tag + key.bytes + id_.bytes for key, id_ in keys]

    def unpack(self, key: bytes) -> UUID:
        """Decode an id; raises `ValueError`."""
        return UUID(bytes=key)


TIMES: Final = TimeKeys()
TEXTS: Final = TextKeys()
IDS: Final = IdKeys()


def encode_cursors(keys: Keys[K], tag: bytes, positions: Iterable[tuple[K, UUID]]) -> list[str]:
    """The cursors of the given sort keys and ids."""
    packed = keys.pack(tag, positions)
    if not packed or not keys.fills_groups:
        return [urlsafe_b64encode(each).decode("ascii") for each in packed]
    return _encode_together(packed)


def _encode_together(packed: Sequence[bytes]) -> list[str]:
    """Encode all cursors in one call: without padding, base64 of the whole is base64 of the parts."""
    encoded = urlsafe_b64encode(b"".join(packed)).decode("ascii")
    step = len(encoded) // len(packed)
    return [encoded[start : start + step] for start in range(0, len(encoded), step)]


def decode_cursor(keys: Keys[K], tag: bytes, cursor: str) -> tuple[K, UUID]:
    """The sort key and id in a cursor; raises `ValueError` for any other text."""
    if len(cursor) > MAX_CURSOR_LENGTH:
        raise ValueError("too long")
    decoded = urlsafe_b64decode(cursor.encode("ascii"))
    if len(decoded) < TAG_BYTES + ID_BYTES or urlsafe_b64encode(decoded).decode("ascii") != cursor:
        raise ValueError("not base64")
    if not decoded.startswith(tag):
        raise ValueError("of another list or order")
    return keys.unpack(decoded[TAG_BYTES:-ID_BYTES]), UUID(bytes=decoded[-ID_BYTES:])
