"""The parts of the pages that are generated from the code; `make pages` updates them."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from migrations import erd
from resolvers import audit, permissions
from settings import table

ROOT: Final = Path(__file__).parents[2]
GENERATED: Final[dict[str, tuple[str, Callable[[], str]]]] = {
    "README.md": ("settings", table),
    "docs/audit.md": ("audit", audit.table),
    "docs/erd.md": ("erd", erd.text),
    "docs/permissions.md": ("permissions", partial(permissions.text, markdown=True)),
}
"""By page: the name in the comments around its generated part, and what prints that part."""


def with_generated(page: str) -> str:
    """A page's text with its generated part updated from the code."""
    name, printed = GENERATED[page]
    text = (ROOT / page).read_text("utf-8")
    head, _, rest = text.partition(f"<!-- {name}: begin -->\n")
    _, end, tail = rest.partition(f"\n<!-- {name}: end -->")
    if not end:
        raise AssertionError(f"{page} has no part named {name}")
    return f"{head}<!-- {name}: begin -->\n{printed()}{end}{tail}"


if __name__ == "__main__":
    for each in GENERATED:
        (ROOT / each).write_text(with_generated(each), "utf-8")
