"""The diagrams of the tables."""

import re

from migrations.erd import text
from models import metadata
from tests.documents.pages import text_of

PAGE = text_of("docs/erd.md")


def test_the_page_is_what_the_command_prints() -> None:
    """docs/erd.md contains the current output of `nudge erd`."""
    match = re.search(r"<!-- erd: begin -->\n(.*?)\n<!-- erd: end -->", PAGE, re.DOTALL)
    assert match is not None
    assert match[1] == text()


def test_every_table_and_reference_is_drawn() -> None:
    """The overview and the diagrams with columns have each table once, and each foreign key has a line."""
    overview, _, details = text().partition("\n## Accounts")
    for name, table in metadata.tables.items():
        assert re.findall(rf"^ +{name}$", overview, re.MULTILINE) == [f"    {name}"]
        match = re.search(rf"^ +{name} {{\n(.*?)^ +}}", details, re.DOTALL | re.MULTILINE)
        assert match is not None
        assert [line.split()[1] for line in match[1].splitlines()] == list(table.columns.keys())
        lines = re.findall(rf"^ +(\w+) \S+ {name} : ", details, re.MULTILINE)
        assert sorted(lines) == sorted(key.referred_table.name for key in table.foreign_key_constraints)
