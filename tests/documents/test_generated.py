"""Pages with parts that are printed from the code."""

import pytest

from tests.documents.generated import GENERATED, with_generated
from tests.documents.pages import text_of


@pytest.mark.parametrize("page", GENERATED)
def test_generated_parts_are_current(page: str) -> None:
    """The part between the comments equals the output of the code; `make pages` updates it."""
    assert text_of(page) == with_generated(page)


def test_a_changed_page_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A part that prints something else than the page has, or a page without the part, does not pass."""
    monkeypatch.setitem(GENERATED, "docs/erd.md", ("erd", lambda: "something else"))
    assert "something else" in with_generated("docs/erd.md") != text_of("docs/erd.md")
    monkeypatch.setitem(GENERATED, "docs/erd.md", ("tables", lambda: ""))
    with pytest.raises(AssertionError, match=r"docs/erd\.md has no part named tables"):
        with_generated("docs/erd.md")
