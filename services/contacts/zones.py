"""The names of time zones, and suggestions for misspelt names."""

import re
import zoneinfo
from collections.abc import Iterator
from functools import cache
from typing import Final

from babel.core import get_global

MAX_LENGTH: Final = 64
_MIN_LENGTH: Final = 4  # shorter names get no suggestion
_MIN_MISSPELT_LENGTH: Final = 6
_MISSPELT: Final = re.compile(r"[A-Za-z/_. -]{5,64}")  # excludes `Z`, `CEST` and `GMT+2`, which resemble many names


@cache
def names() -> frozenset[str]:
    """The names of the IANA database."""
    return frozenset(zoneinfo.available_timezones()) - {"Factory", "localtime"}


def suggest(value: str) -> str | None:
    """The name that a value probably means: spelled differently, a city alone, a Windows name, or with one typo.

    A typo is a missing, additional, wrong or swapped letter. None if there are several candidates. Takes a bounded
    number of dictionary lookups, whatever the value.
    """
    key = _key(value[:MAX_LENGTH])
    if len(value) > MAX_LENGTH or len(key) < _MIN_LENGTH:
        return None
    if exact := _exact().get(key):
        return exact
    if not _MISSPELT.fullmatch(value):
        return None
    candidates = {zone for each in _deletions(key) for zone in _by_deletion().get(each, ())}
    return candidates.pop() if len(candidates) == 1 else None


def _key(name: str) -> str:
    return "".join(name.lower().replace("_", " ").split(" "))


@cache
def _exact() -> dict[str, str]:
    """Zones by their names, by their cities if a city belongs to one zone only, and by their Windows names (CLDR)."""
    zones = sorted(names())
    cities = [(_key(zone.rpartition("/")[2]), zone) for zone in zones if "/" in zone and not zone.startswith("Etc/")]
    names_of_cities = [city for city, _ in cities]
    windows = dict(get_global("windows_zone_mapping"))
    return {
        **{city: zone for city, zone in cities if names_of_cities.count(city) == 1},
        **{_key(name): zone for name, zone in windows.items() if zone in names()},
        **{_key(zone): zone for zone in zones},
    }


@cache
def _by_deletion() -> dict[str, frozenset[str]]:
    """The zones by their keys and by each key with one letter deleted.

    Two keys that differ by one typo share such an entry (a symmetric delete index).
    """
    zones_of: dict[str, set[str]] = {}
    for key, zone in _exact().items():
        if len(key) >= _MIN_MISSPELT_LENGTH:
            for deletion in _deletions(key):
                zones_of.setdefault(deletion, set()).add(zone)
    return {deletion: frozenset(zones) for deletion, zones in zones_of.items()}


def _deletions(key: str) -> Iterator[str]:
    yield key
    yield from (key[:index] + key[index + 1 :] for index in range(len(key)))
