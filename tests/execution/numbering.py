"""Numbers instead of random values, so that responses that differ only in these become equal texts.

Ids, times and secrets are numbered in the order in which they first occur. Known values are unchanged, and
the same value has the same number everywhere. So two texts become equal only if one turns into the other by
exchanging new values one for one: an id in another's place, or a new time in an old one's, is a difference. Of a rate
only the presence is compared.
"""

import re
from base64 import b64decode
from binascii import Error as Base64Error
from datetime import UTC, datetime
from functools import lru_cache
from uuid import UUID

from core.listing.cursors import ID_BYTES, TAG_BYTES, TIMES

# The times have no fraction in their shape, as PostgreSQL leaves out zeros at its end; the moment has it.
ID = r"(?P<id>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"
TIME = r"(?P<time>\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d))"
JWT = r"(?P<token>eyJ[\w-]+\.[\w-]+\.[\w-]+)"
HASH, FINGERPRINT = r"\$argon2id\$[\w$=,+/]+", r"(?<=\\x)[0-9a-f]{64}"
REFRESH_TOKEN, SLUG_END = r"(?<![\w-])[\w-]{43}(?![\w-])", r"(?<=-)[0-9a-f]{10}(?=\")"
SECRET = f"(?P<secret>{HASH}|{FINGERPRINT}|{REFRESH_TOKEN}|{SLUG_END})"
PACKED = r"(?P<packed>(?<=\")(?:[\w-]{40}|[A-Za-z0-9]{16,}={0,2})(?=\"))"
# A campaign's rate depends on the time since its start, which differs from run to run.
SPEED = r"(?P<speed>(?:ratePerSecond|estimatedSecondsLeft)(?:_\d+)?\":\d[\d.e-]*)"
RANDOM = re.compile(f"{ID}|{TIME}|{JWT}|{SECRET}|{PACKED}|{SPEED}", re.ASCII)
DIGITS = str.maketrans("123456789", "000000000")


@lru_cache(maxsize=1_000)
def unpack(text: str) -> str | None:
    """The content of a global id or a cursor; None for any other text."""
    try:
        raw = b64decode(text, altchars=b"-_", validate=True)
        if len(raw) == TIMES.LAYOUT.size:
            time = TIMES.unpack(raw[TAG_BYTES:-ID_BYTES])
            return f"{raw[:TAG_BYTES].hex()} {time.isoformat()} {UUID(bytes=raw[-ID_BYTES:])}"
        inside = raw.decode("ascii")
    except (Base64Error, ValueError):
        return None
    return inside if inside.isprintable() else None


@lru_cache(maxsize=1_000)
def moment(text: str) -> str:
    """A time in one format, since the database and responses format it differently."""
    return datetime.fromisoformat(text).astimezone(UTC).isoformat()


@lru_cache
def values(text: str) -> frozenset[str]:
    """All ids, times and secrets of a text."""
    labels: set[str] = set()
    for match in RANDOM.finditer(text):
        inside = unpack(match[0]) if match.lastgroup == "packed" else None
        labels |= {moment(match[0]) if match.lastgroup == "time" else match[0]} if inside is None else values(inside)
    return frozenset(labels)


class Numbering:
    """Numbers the values that were not in the texts before."""

    def __init__(self, *before: str) -> None:
        self.known = frozenset().union(*map(values, before))
        self.numbers: dict[str, dict[str, int]] = {}

    def numbered(self, text: str) -> str:
        """The text with numbers."""
        return RANDOM.sub(self.number, text)

    def masked(self, text: str) -> str:
        """The text with only the kinds of new values, so that equal and different ones look the same."""
        return RANDOM.sub(lambda match: self.label(match, None), text)

    def number(self, match: re.Match[str]) -> str:
        """The number of a value, or the value if it was known."""
        return self.label(match, self.numbers)

    def label(self, match: re.Match[str], numbers: dict[str, dict[str, int]] | None) -> str:
        """A new value's kind, with its number if there are numbers; a known value unchanged."""
        kind, text = match.lastgroup or "", match[0]
        if kind == "packed":
            inside = unpack(text)
            again = self.masked if numbers is None else self.numbered
            return text if inside is None or again(inside) == inside else f"packed({again(inside)})"
        if kind == "speed":
            return re.sub(r"[\d.e-]+\Z", kind, text)
        value = moment(text) if kind == "time" else text
        if value in self.known:
            return text
        shape = " " + re.sub(r"\.\d+", "", text).translate(DIGITS) if kind == "time" else ""
        if numbers is None:
            return f"{kind}{shape}"
        among = numbers.setdefault(kind, {})
        return f"{kind} {among.setdefault(value, len(among) + 1)}{shape}"
