"""The exported schema, and the check for changes that break clients."""

import os
import subprocess
import sys
from pathlib import Path

from graphql import build_schema as parse_schema

from resolvers.sdl import breaking_changes, export

ROOT = Path(__file__).parents[2]
PROGRAM = "import sys; from resolvers.sdl import export; sys.stdout.write(export())"


def test_the_export_is_a_schema_and_is_stable() -> None:
    """The text parses, and another process, with other hash seeds, exports the same."""
    text = export()
    assert parse_schema(text).mutation_type is not None
    seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    environment = {"PATH": os.environ["PATH"], "PYTHONHASHSEED": seed}
    process = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert process.stdout == text


def test_breaking_changes_are_named() -> None:
    """A removed field and a new required argument are reported, an addition is not."""
    old = "type Query { a: Int b(x: Int): Int }"
    assert breaking_changes(old, "type Query { a: Int b(x: Int): Int c: Int }") == []
    changes = breaking_changes(old, "type Query { b(x: Int, y: Int!): Int }")
    assert any("Query.a was removed" in change for change in changes)
    assert any("y" in change for change in changes)
    assert len(changes) == 2
