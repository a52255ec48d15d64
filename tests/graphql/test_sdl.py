"""The exported schema, and the gate that keeps clients from breaking."""

from graphql import build_schema as parse_schema

from resolvers.sdl import breaking_changes, export


def test_the_export_is_a_schema_and_is_stable() -> None:
    """The text parses, is the same twice, and breaks nothing against itself."""
    text = export()
    parse_schema(text)
    assert text == export()
    assert breaking_changes(text, text) == []


def test_breaking_changes_are_named() -> None:
    """A removed field and a new required argument are found, an addition is not."""
    old = "type Query { a: Int b(x: Int): Int }"
    assert breaking_changes(old, "type Query { a: Int b(x: Int): Int c: Int }") == []
    found = breaking_changes(old, "type Query { b(x: Int, y: Int!): Int }")
    assert any("Query.a was removed" in change for change in found)
    assert any("y" in change for change in found)
    assert len(found) == 2
