"""The committed schema, and the gate that keeps clients from breaking."""

import subprocess
import sys
from pathlib import Path

import pytest

from resolvers import sdl

ROOT = Path(__file__).parents[2]
OLD = "type Query {\n  a: Int\n  b(x: Int): Int\n}\n"
ADDED = "type Query {\n  a: Int\n  b(x: Int, y: Int): Int\n  c: Int\n}\n"
REMOVED = "type Query {\n  b(x: Int): Int\n}\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project whose last release is the old schema."""
    for path, text in {sdl.SCHEMA: OLD, sdl.RELEASED: OLD, sdl.RECORD: "# Breaking changes\n"}.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    return tmp_path


def nudge(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command, as a developer runs it."""
    return subprocess.run(
        [sys.executable, "cli.py", "schema", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_the_committed_schema_is_this_versions(root: Path) -> None:
    """`nudge schema check` passes on the checkout, and it is the very gate that the tests below try."""
    checked = nudge("check")
    assert (checked.returncode, checked.stderr) == (0, "")
    assert sdl.problems(ROOT, REMOVED) != sdl.problems(root, OLD) == []


def test_a_stale_export_fails(root: Path) -> None:
    """A change that was not exported is reported, and exporting fixes it."""
    assert sdl.problems(root, ADDED) == [sdl.STALE]
    (root / sdl.SCHEMA).write_text(ADDED)
    assert sdl.problems(root, ADDED) == []


def test_a_breaking_change_fails_until_it_is_listed(root: Path) -> None:
    """Exporting it does not help; its own line in the record does, and no other line."""
    (root / sdl.SCHEMA).write_text(REMOVED)
    [problem] = sdl.problems(root, REMOVED)
    assert "Query.a was removed." in problem
    record = root / sdl.RECORD
    record.write_text(
        "- Field Query.b was removed.\nField Query.a was removed.\n    - Field Query.a was removed. An example.\n"
    )
    assert sdl.problems(root, REMOVED) == [problem]
    record.write_text("- Field Query.a was removed. Since 2.0; use `b`.\n")
    assert sdl.problems(root, REMOVED) == []


def test_only_what_passes_can_be_released(root: Path) -> None:
    """A release with an unlisted breaking change leaves the old schema to compare with; one without moves it on."""
    (root / sdl.SCHEMA).write_text(REMOVED)
    assert sdl.release(root, REMOVED) == sdl.problems(root, REMOVED) != []
    assert (root / sdl.RELEASED).read_text() == OLD
    (root / sdl.SCHEMA).write_text(ADDED)
    assert sdl.release(root, ADDED) == []
    assert (root / sdl.RELEASED).read_text() == ADDED
    assert len(sdl.problems(root, OLD)) == 3


def test_without_a_released_schema_nothing_passes(root: Path) -> None:
    """The check cannot be bypassed by deleting the file that it compares with."""
    (root / sdl.RELEASED).unlink()
    with pytest.raises(FileNotFoundError):
        sdl.problems(root, OLD)
