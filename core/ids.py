"""Ids: UUIDv7 in the database, Relay global ids (base64 of `Type:uuid`) in the API."""

import binascii
import os
import time
from base64 import b64decode
from collections.abc import Callable
from typing import Final
from uuid import UUID

TICKS_PER_MILLISECOND: Final = 1 << 12
MAX_TICKS_AHEAD: Final = 10_000 * TICKS_PER_MILLISECOND
_last_tick = 0


def new_id() -> UUID:
    """A UUIDv7, greater than every earlier one of this process, unless the clock is set back by more than 10 s.

    It has 48 bits of milliseconds, 12 bits of their fraction (RFC 9562, section 6.2, method 3) and 62 random bits. So
    ids are in the order of creation, also within a millisecond, and also after a smaller step back of the clock.
    After a larger one, ids follow the clock, because retention uses the time in them. Not thread-safe.
    """
    global _last_tick  # noqa: PLW0603 - the order holds for the process
    tick = time.time_ns() * TICKS_PER_MILLISECOND // 1_000_000
    if tick <= _last_tick < tick + MAX_TICKS_AHEAD:
        tick = _last_tick + 1
    _last_tick = tick
    return _uuid7(tick)


def id_at(milliseconds: int) -> UUID:
    """A UUIDv7 for a Unix time in milliseconds; ids of the same millisecond are in random order."""
    return _uuid7(milliseconds * TICKS_PER_MILLISECOND + int.from_bytes(os.urandom(2), "big") % TICKS_PER_MILLISECOND)


def _uuid7(tick: int) -> UUID:
    milliseconds, fraction = divmod(tick, TICKS_PER_MILLISECOND)
    random = int.from_bytes(os.urandom(8), "big") & (1 << 62) - 1
    return UUID(int=(milliseconds & 0xFFFF_FFFF_FFFF) << 80 | 0x7 << 76 | fraction << 64 | 0b10 << 62 | random)


def encode_global_id(type_name: str, value: UUID) -> str:
    """The Relay global id of a node."""
    return binascii.b2a_base64(f"{type_name}:{value}".encode(), newline=False).decode()


def global_ids(type_name: str) -> Callable[[UUID], str]:
    """A function like `encode_global_id` for one type; it is faster for many ids."""
    prefix, to_base64 = f"{type_name}:".encode(), binascii.b2a_base64

    def encode(value: UUID) -> str:
        return to_base64(prefix + str(value).encode(), newline=False).decode()

    return encode


def decode_id(type_name: str, text: str) -> UUID | None:
    """The UUID in a global id of this type; None for any other text, which callers treat as an unknown id."""
    decoded = decode_global_id(text)
    return decoded[1] if decoded and decoded[0] == type_name else None


def decode_global_id(text: str) -> tuple[str, UUID] | None:
    """Type name and UUID of a global id, or None if it is not valid."""
    try:
        type_name, _, value = b64decode(text.encode("ascii"), validate=True).decode("ascii").partition(":")
        return (type_name, UUID(value)) if len(value) == 36 else None  # noqa: PLR2004 - the canonical form
    except (binascii.Error, ValueError):
        return None
