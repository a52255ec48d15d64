"""Vendors are replaceable: only their adapters know them."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
ABOVE = ("services", "resolvers", "routes", "jobs", "models", "schema", "core")
VENDORS = re.compile(r"postmark|openrouter", re.IGNORECASE)


def test_no_vendor_is_named_above_integrations() -> None:
    """Names, codes and settings of a vendor are only in its adapter."""
    places = [
        f"{path.relative_to(ROOT)}:{number}"
        for room in ABOVE
        for path in sorted((ROOT / room).rglob("*"))
        if path.suffix in {".py", ".html", ".sql"}
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if VENDORS.search(line)
    ]
    assert places == []
