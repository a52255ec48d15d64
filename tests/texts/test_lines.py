"""Cleaning of names, tags, fields and subjects before they are stored."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import texts
from core.errors import InvalidInput
from tests.texts.test_characters import NEEDED

FIELD = ("input", "name")


def line(text: str) -> str:
    """A cleaned line of at most 200 characters."""
    return texts.clean_line(text, field=FIELD, max_length=200)


def prose(text: str) -> str:
    """A cleaned text of at most 200 characters."""
    return texts.clean_prose(text, field=FIELD, max_length=200)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\u202a+49 30 1\u202c", "+49 30 1"),
        ("\u202d+49 30 1\u202c", "+49 30 1"),
        ("\u2066+49 30 1\u2069", "+49 30 1"),
        ("\u2068Ada\u2069", "Ada"),
        ("\u200eAda\u200e", "Ada"),
        (" \u200f Ada \u200b\u2060\ufeff ", "Ada"),
        ("\ufeffAda\u00ad", "Ada"),
        ("Ada\r\n", "Ada"),
        ("\tAda\u00a0", "Ada"),
        ("A\u2068b\u2069c", "A\u2068b\u2069c"),
        ("A\u2067b", "Ab"),
        ("A\u2069b\u2068c", "Abc"),
        ("שלום (ABC\u200f)", "שלום (ABC\u200f)"),
        ("A\u202ab\u202cc", "Abc"),
        ("A\u200bda\u200d", "Ada"),
        ("❤\ufe0f fans", "❤\ufe0f fans"),
        ("Mu\u0308ller", "Müller"),
        ("\u200b", ""),
        ("\u2066\u2069", ""),
    ],
)
def test_padding_is_removed(text: str, expected: str) -> None:
    """A line loses padding and unclosed isolates; closed isolates, marks and joiners within it stay."""
    assert line(text) == expected
    assert line(expected) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\u202a+49 30 1\u202c", "+49 30 1"),
        ("\u2066+49 30 1\u2069", "+49 30 1"),
        ("a\u202db\u202c\n\tc ", "ab\n\tc "),
        ("a\u2068b\u2069 c", "a\u2068b\u2069 c"),
        ("a\u2068b c", "ab c"),
        ("one\u00ad two\u200bthree", "one\u00ad two\u200bthree"),
        ("", ""),
    ],
)
def test_prose_loses_only_padding_and_directions(text: str, expected: str) -> None:
    """A longer text loses padding at its ends, and embeddings; blanks, line breaks and soft hyphens stay."""
    assert prose(text) == expected


@pytest.mark.parametrize(
    ("text", "suggestion"),
    [
        ("\u202egnp.exe", "Write it as 'gnp.exe'."),
        ("Bell\x07", "Write it as 'Bell'."),
        ("Ada\tLovelace", "Write it as 'Ada Lovelace'."),
        ("Ada\r\nLovelace", "Write it as 'Ada Lovelace'."),
        ("\ud83d\u202a", "Remove it."),
        ("\x00", "Remove it."),
    ],
)
def test_a_refused_text_has_a_suggestion(text: str, suggestion: str) -> None:
    """A control character, a lone surrogate or a right-to-left override is refused, with a valid suggestion."""
    with pytest.raises(InvalidInput) as excinfo:
        line(text)
    assert excinfo.value.suggestion == suggestion


@pytest.mark.parametrize("text", NEEDED.values(), ids=NEEDED.keys())
def test_names_keep_the_characters_they_need(text: str) -> None:
    """Joiners and selectors of scripts and emoji are part of a name; a zero width space is not."""
    if not set(text) & set("\n\t"):
        assert line(text) == unicodedata.normalize("NFC", text.replace("\u200b", ""))


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="\u202e"), max_size=40))
def test_cleaning_is_idempotent(text: str) -> None:
    """So a search for a stored text finds it."""
    assert line(line(text)) == line(text)
    assert prose(prose(text)) == prose(text)


def test_a_far_too_long_text_is_refused_quickly() -> None:
    """It is refused before normalization, which would take quadratic time."""
    with pytest.raises(InvalidInput, match="At most 200"):
        line("a" + "\u0301\u0323" * 200_000)
    assert prose("a" + "\u2066" * 300_000 + "b") == "ab"
