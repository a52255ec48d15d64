"""Suggestions for misspelt time zones."""

import pytest
from babel.core import get_global
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InvalidInput
from services.contacts import fields, zones

# As in CLDR: names of time zones in exports from Outlook, Dynamics and Exchange.
WINDOWS = {
    "W. Europe Standard Time": "Europe/Berlin",
    "GMT Standard Time": "Europe/London",
    "Romance Standard Time": "Europe/Paris",
    "Central Europe Standard Time": "Europe/Budapest",
    "Eastern Standard Time": "America/New_York",
    "Pacific Standard Time": "America/Los_Angeles",
    "Tokyo Standard Time": "Asia/Tokyo",
    "AUS Eastern Standard Time": "Australia/Sydney",
    "e. south america standard time": "America/Sao_Paulo",
    "Arabian Standard Time": "Asia/Dubai",
    "SE Asia Standard Time": "Asia/Bangkok",
}


@pytest.mark.parametrize(
    ("value", "suggestion"),
    [
        *WINDOWS.items(),
        ("europe/berlin", "Europe/Berlin"),
        ("Berlin", "Europe/Berlin"),
        ("new york", "America/New_York"),
        ("America/New York", "America/New_York"),
        ("Eurpe/Berlin", "Europe/Berlin"),
        ("Europe/Belrin", "Europe/Berlin"),
        ("Europe/Berlim", "Europe/Berlin"),
        ("Europe/Berlinn", "Europe/Berlin"),
        ("America/Buens_Aires", "America/Buenos_Aires"),
        *(
            (value, None)
            for value in ("Z", "UTC-99", "UTC+1", "GMT+2", "+01:00", "CEST", "PDT", "Nowhere", "Europe", "Mars/X", "")
        ),
        ("Europe/Berlinlinlin", None),
    ],
)
def test_only_similar_names_are_suggested(value: str, suggestion: str | None) -> None:
    """A Windows name, another spelling, a city or one typo has a suggestion; anything else has none."""
    assert zones.suggest(value) == suggestion
    if value:
        with pytest.raises(InvalidInput) as excinfo:
            fields.time_zone(value, ("timeZone",))
        assert excinfo.value.suggestion == (f"Did you mean {suggestion}?" if suggestion else None)


def distance(one: str, other: str) -> int:
    """The edit distance of two texts."""
    row = list(range(len(other) + 1))
    for at, char in enumerate(one, 1):
        before, row = row, [at]
        for place, letter in enumerate(other, 1):
            row.append(min(before[place] + 1, row[-1] + 1, before[place - 1] + (char != letter)))
    return row[-1]


@given(zone=st.sampled_from(sorted(zones.names())), letter=st.sampled_from("aeiou/_x"), data=st.data())
def test_a_typo_is_at_most_two_edits_from_its_suggestion(zone: str, letter: str, data: st.DataObject) -> None:
    """A letter inserted into a name, or replaced in it, has a suggestion at most two edits away, or none."""
    at, more = data.draw(st.integers(0, len(zone))), data.draw(st.booleans())
    value = zone[:at] + letter + zone[at + (not more) :]
    suggestion = zones.suggest(value)
    if suggestion is None or suggestion == value:
        return
    ways = [
        suggestion,
        suggestion.rpartition("/")[2],
        *(name for name, zone in get_global("windows_zone_mapping").items() if zone == suggestion),
    ]
    bare = [way.lower().replace("_", " ").replace(" ", "") for way in (value, *ways)]
    assert min(distance(bare[0], each) for each in bare[1:]) <= 2


def test_white_space_around_a_zone_is_removed() -> None:
    """A zone's name is stored without pasted white space."""
    for value in (" Europe/Berlin\n", "\u200bEurope/Berlin", "\u202aEurope/Berlin\u202c"):
        assert fields.time_zone(value, ("timeZone",)) == "Europe/Berlin"
    assert fields.time_zone(" ", ("timeZone",)) is None


def test_a_suggestion_takes_one_lookup_per_letter() -> None:
    """The names are not compared one by one: a value is looked up as it is, and without each of its letters."""
    assert len(list(zones._deletions("x" * zones.MAX_LENGTH))) == zones.MAX_LENGTH + 1
