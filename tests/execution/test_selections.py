"""The selected fields that a resolver gets, compiled and by graphql-core."""

from typing import Any

import pytest
from graphql import build_schema, execute, parse

import execution
from execution import Selection, selected_fields

pytestmark = pytest.mark.usefixtures("eager")
SCHEMA = build_schema("""
    type Query { page(first: Int): Page }
    type Page { total: Int nodes: [Node] }
    interface Node { id: ID other: Page }
    type Contact implements Node { id: ID other: Page email: String }
""")
TEXT = """
query ($total: Boolean!, $mail: Boolean = true) {
  page(first: 1) {
    sum: total @include(if: $total)
    nodes @skip(if: false) { ...Common ... on Contact @include(if: $mail) { email } }
  }
  again: page { nodes { id @skip(if: true) __typename } }
}
fragment Common on Node { id other { total } }
"""


def selections(call: Any, **variables: Any) -> list[Selection]:
    """The selections that the resolver of `page` gets in each of its calls."""
    selections_seen: list[Selection] = []

    class Root:
        def page(self, info: Any, first: int | None = None) -> dict[str, Any]:
            """Record the selection."""
            assert first in {None, 1}
            selections_seen.append(selected_fields(info))
            return {"total": 1, "nodes": []}

    result = call(SCHEMA, parse(TEXT), Root(), variable_values=variables)
    assert result.errors is None
    return selections_seen


def shape(selection: Selection) -> dict[str, Any]:
    """A selection as plain dictionaries."""
    return {name: shape(below) for name, below in selection.items()}


@pytest.mark.parametrize("call", [execute, execution.execute])
def test_selected_fields_go_by_name_and_condition(call: Any) -> None:
    """Aliases are ignored, conditions are applied, fragments of all types are included."""
    first, again = selections(call, total=True)
    other: dict[str, Any] = {"total": {}}
    assert shape(first) == {"total": {}, "nodes": {"id": {}, "other": other, "email": {}}}
    assert shape(again) == {"nodes": {"__typename": {}}}
    first, _ = selections(call, total=False, mail=False)
    assert shape(first) == {"nodes": {"id": {}, "other": other}}


def test_membership_in_selections() -> None:
    """A field is in a selection or not, at any depth."""
    first, _ = selections(execution.execute, total=True)
    assert "total" in first
    assert first.has("nodes", "other", "total")
    assert not first.has("nodes", "name")
    assert len(first) == 2
    assert repr(first) == "Selection(total, nodes)"


def test_a_plan_computes_its_selections_once() -> None:
    """Two executions of a plan get the same object."""
    assert selections(execution.execute, total=True)[0] is selections(execution.execute, total=True)[0]
