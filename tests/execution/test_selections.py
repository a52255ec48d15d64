"""Which fields a resolver hears were selected, compiled and by graphql-core."""

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


def heard(call: Any, **variables: Any) -> list[Selection]:
    """What the resolver of `page` hears, for each time it is called."""
    found: list[Selection] = []

    class Root:
        def page(self, info: Any, first: int | None = None) -> dict[str, Any]:
            """Listen."""
            assert first in {None, 1}
            found.append(selected_fields(info))
            return {"total": 1, "nodes": []}

    result = call(SCHEMA, parse(TEXT), Root(), variable_values=variables)
    assert result.errors is None
    return found


def shape(selection: Selection) -> dict[str, Any]:
    """A selection as plain dictionaries."""
    return {name: shape(below) for name, below in selection.items()}


@pytest.mark.parametrize("call", [execute, execution.execute])
def test_selected_fields_go_by_name_and_condition(call: Any) -> None:
    """Aliases don't matter, conditions do, fragments of all types are seen."""
    first, again = heard(call, total=True)
    other: dict[str, Any] = {"total": {}}
    assert shape(first) == {"total": {}, "nodes": {"id": {}, "other": other, "email": {}}}
    assert shape(again) == {"nodes": {"__typename": {}}}
    first, _ = heard(call, total=False, mail=False)
    assert shape(first) == {"nodes": {"id": {}, "other": other}}


def test_selections_answer_questions() -> None:
    """A selection says whether a field is in it, at any depth."""
    first, _ = heard(execution.execute, total=True)
    assert "total" in first
    assert first.has("nodes", "other", "total")
    assert not first.has("nodes", "name")
    assert len(first) == 2
    assert repr(first) == "Selection(total, nodes)"


def test_a_plan_works_its_selections_out_once() -> None:
    """Two executions of a plan hear the same object."""
    assert heard(execution.execute, total=True)[0] is heard(execution.execute, total=True)[0]
