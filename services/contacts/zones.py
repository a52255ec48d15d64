"""The names of time zones, and which one a name that is none was meant to be."""

import re
import zoneinfo
from collections.abc import Iterator
from functools import cache
from typing import Final

from babel.core import get_global

LONGEST: Final = 64
SHORTEST: Final = 4  # of a city that is taken for its zone
SHORTEST_MISSPELT: Final = 6
MISSPELT: Final = re.compile(r"[A-Za-z/_. -]{5,64}")  # `Z`, `CEST` and `GMT+2` are near to too much


@cache
def names() -> frozenset[str]:
    """The names of the IANA database."""
    return frozenset(zoneinfo.available_timezones()) - {"Factory", "localtime"}


def meant(value: str) -> str | None:
    """The one name that a value stands for: in another spelling, a city alone, as Windows says it, or with one slip.

    A slip is a letter too few, too many, other or swapped. It costs a few look-ups, whatever the value.
    """
    wanted = _key(value[:LONGEST])
    if len(value) > LONGEST or len(wanted) < SHORTEST:
        return None
    if exact := _exact().get(wanted):
        return exact
    if not MISSPELT.fullmatch(value):
        return None
    near = {zone for each in _slips(wanted) for zone in _near().get(each, ())}
    return near.pop() if len(near) == 1 else None


def _key(name: str) -> str:
    return "".join(name.lower().replace("_", " ").split(" "))


@cache
def _exact() -> dict[str, str]:
    """Zones by their names, by their cities where these are of one zone, and by their names in Windows (CLDR)."""
    zones = sorted(names())
    cities = [(_key(zone.rpartition("/")[2]), zone) for zone in zones if "/" in zone and not zone.startswith("Etc/")]
    often = [city for city, _ in cities]
    windows = dict(get_global("windows_zone_mapping"))
    return {
        **{city: zone for city, zone in cities if often.count(city) == 1},
        **{_key(name): zone for name, zone in windows.items() if zone in names()},
        **{_key(zone): zone for zone in zones},
    }


@cache
def _near() -> dict[str, frozenset[str]]:
    """The zones by every spelling of their keys that lacks one letter, and by the whole."""
    found: dict[str, set[str]] = {}
    for key, zone in _exact().items():
        if len(key) >= SHORTEST_MISSPELT:
            for slip in _slips(key):
                found.setdefault(slip, set()).add(zone)
    return {slip: frozenset(zones) for slip, zones in found.items()}


def _slips(key: str) -> Iterator[str]:
    yield key
    yield from (key[:at] + key[at + 1 :] for at in range(len(key)))
