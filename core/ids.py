"""Identifiers: UUIDv7 inside, Relay global ids (base64 of `Type:uuid`) outside."""

import binascii
import os
import time
from base64 import b64decode
from collections.abc import Callable
from uuid import UUID


def new_id() -> UUID:
    """A UUIDv7 (RFC 9562, section 5.7): 48 bits of milliseconds, then 74 random bits."""
    return id_at(time.time_ns() // 1_000_000)


def id_at(milliseconds: int) -> UUID:
    """A fresh UUIDv7 for the given Unix time in milliseconds."""
    random = int.from_bytes(os.urandom(10), "big")
    head = (milliseconds & 0xFFFF_FFFF_FFFF) << 80
    return UUID(int=head | 0x7 << 76 | ((random >> 68) & 0xFFF) << 64 | 0b10 << 62 | random & (1 << 62) - 1)


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
