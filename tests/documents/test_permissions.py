"""The page of roles and permissions."""

import re
from pathlib import Path

from resolvers.permissions import text

PAGE = Path(__file__).parents[2] / "docs" / "permissions.md"


def test_the_page_is_what_the_command_prints() -> None:
    """docs/permissions.md contains the current output of `nudge permissions --markdown`."""
    match = re.search(r"<!-- permissions: begin -->\n(.*?)\n<!-- permissions: end -->", PAGE.read_text(), re.DOTALL)
    assert match is not None
    assert match[1] == text(markdown=True)
