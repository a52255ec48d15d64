import re
import subprocess
from pathlib import Path

import pytest

from settings import table

ROOT = Path(__file__).parents[2]


def test_the_configuration_table_is_the_settings() -> None:
    """The README's table is what `nudge settings` prints."""
    text = (ROOT / "README.md").read_text()
    match = re.search(r"<!-- settings: begin -->\n(.*?)\n<!-- settings: end -->", text, re.DOTALL)
    assert match is not None
    assert match[1] == table()


def test_every_path_the_readme_names_exists() -> None:
    """The room map and the walk through one feature name files and folders that are there."""
    text = (ROOT / "README.md").read_text()
    tables = text[text.index("## Rooms") : text.index("## Configuration")]
    names = re.findall(r"`((?:[a-z_]+/)*(?:[a-z_]+\.py|[a-z_]+/))`", tables)
    folder = Path()
    for name in names:
        folder = Path(name).parent if "/" in name else folder
        assert (ROOT / name).exists() or (ROOT / folder / name).exists(), name
    assert len(names) > 25


def test_the_room_map_names_every_folder_and_module() -> None:
    """It lists the top-level folders and modules of the checkout, and the folders of `packages`, and no others."""
    text = (ROOT / "README.md").read_text()
    table = text[text.index("## Rooms") : text.index("Imports go in one direction")]
    names = {name.rstrip("/") for name in re.findall(r"^\| `([^`]+)` \|", table, flags=re.MULTILINE)}
    tracked = {Path(name) for name in _tracked() if not name.startswith(".")}
    folders = {path.parts[0] for path in tracked if len(path.parts) > 1} - {"packages"}
    packages = {f"packages/{path.parts[1]}" for path in tracked if path.parts[0] == "packages"}
    modules = {path.name for path in tracked if len(path.parts) == 1 and path.suffix == ".py"}
    assert names == folders | packages | modules


def _tracked() -> list[str]:
    process = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if not process.stdout:
        pytest.skip("the checkout is not a git repository: its files are unknown")
    return process.stdout.splitlines()
