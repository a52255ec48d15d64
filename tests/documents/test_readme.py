import re
from pathlib import Path

from settings import table

ROOT = Path(__file__).parents[2]


def test_the_configuration_table_is_the_settings() -> None:
    """The README's table is what `nudge settings` prints."""
    text = (ROOT / "README.md").read_text()
    found = re.search(r"<!-- settings: begin -->\n(.*?)\n<!-- settings: end -->", text, re.DOTALL)
    assert found is not None
    assert found[1] == table()


def test_every_path_the_readme_names_exists() -> None:
    """The room map and the walk through one feature name files and folders that are there."""
    text = (ROOT / "README.md").read_text()
    tables = text[text.index("## Rooms") : text.index("## Configuration")]
    named = re.findall(r"`((?:[a-z_]+/)*(?:[a-z_]+\.py|[a-z_]+/))`", tables)
    folder = Path()
    for name in named:
        folder = Path(name).parent if "/" in name else folder
        assert (ROOT / name).exists() or (ROOT / folder / name).exists(), name
    assert len(named) > 25
