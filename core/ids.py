"""Identifiers: UUIDv7 inside, Relay global ids (base64 of `Type:uuid`) outside."""

import binascii
import os
import time
from base64 import b64decode
from collections.abc import Callable
from typing import Final
from uuid import UUID

TICKS_PER_MILLISECOND: Final = 1 << 12
MAX_AHEAD: Final = 10_000 * TICKS_PER_MILLISECOND
_last_tick = 0


def new_id() -> UUID:
    """A UUIDv7, greater than every one that this function gave before in this process.

    48 bits of milliseconds, 12 of their fraction (RFC 9562, section 6.2, method 3), 62 random ones. So what a
    transaction writes first is first by id, also within a millisecond, and when the clock is set back by 10 s at
    most: after a larger step the ids follow the clock, as their time says which rows are old. For the event loop, not
    for several threads at once.
    """
    global _last_tick  # noqa: PLW0603 - the order is the process's
    tick = time.time_ns() * TICKS_PER_MILLISECOND // 1_000_000
    if tick <= _last_tick < tick + MAX_AHEAD:
        tick = _last_tick + 1
    _last_tick = tick
    return _uuid7(tick)


def id_at(milliseconds: int) -> UUID:
    """A fresh UUIDv7 for the given Unix time in milliseconds; among those of one millisecond the order is random."""
    return _uuid7(milliseconds * TICKS_PER_MILLISECOND + int.from_bytes(os.urandom(2), "big") % TICKS_PER_MILLISECOND)


def _uuid7(tick: int) -> UUID:
    milliseconds, fraction = divmod(tick, TICKS_PER_MILLISECOND)
    random = int.from_bytes(os.urandom(8), "big") & (1 << 62) - 1
    return UUID(int=(milliseconds & 0xFFFF_FFFF_FFFF) << 80 | 0x7 << 76 | fraction << 64 | 0b10 << 62 | random)


def encode_global_id(type_name: str, value: UUID) -> str:
    """The Relay global id of a node."""
    return binascii.b2a_base64(f"{type_name}:{value}".encode(), newline=False).decode()


def global_ids(type_name: str) -> Callable[[UUID], str]:
    """`encode_global_id` for one type, where many are made."""
    prefix, write = f"{type_name}:".encode(), binascii.b2a_base64

    def encode(value: UUID) -> str:
        return write(prefix + str(value).encode(), newline=False).decode()

    return encode


def decode_id(type_name: str, text: str) -> UUID | None:
    """The UUID of a global id of this type; None for any other text, which then answers as an unknown id."""
    found = decode_global_id(text)
    return found[1] if found and found[0] == type_name else None


def decode_global_id(text: str) -> tuple[str, UUID] | None:
    """Type name and UUID of a global id, or None when it is not one of ours."""
    try:
        type_name, _, value = b64decode(text.encode("ascii"), validate=True).decode("ascii").partition(":")
        return (type_name, UUID(value)) if len(value) == 36 else None  # noqa: PLR2004 - the canonical form
    except (binascii.Error, ValueError):
        return None
