"""Variables that are coerced without graphql-core equal graphql-core's."""

from typing import Any

import pytest
from graphql import build_schema, parse
from graphql.execution import Executor
from graphql.execution.values import VariableValues
from hypothesis import given
from hypothesis import strategies as st

import execution
from execution.variables import coerce_simple_variables, simple_variables

SCHEMA = build_schema("type Query { a: Int f: Float s: String i: ID b: Boolean e: E } enum E { A }")
TYPES = ["Int", "Int!", "Float", "Float!", "String", "String!", "ID", "ID!", "Boolean", "Boolean!"]
DEFAULTS = {"Int": "3", "Float": "1.5", "String": '"x"', "ID": "7", "Boolean": "true"}
MODELS: dict[str, Any] = {"Int": 1, "Float": 1.5, "String": "x", "ID": "7", "Boolean": True}
NUMBERS = st.one_of(st.booleans(), st.integers(-(2**33), 2**33), st.floats())
VALUES = st.one_of(st.none(), NUMBERS, st.text(max_size=3), st.just([1]), st.just(Ellipsis))


def sources_of(values: VariableValues) -> list[tuple[str, str, object]]:
    """The sources, without the identity of their signatures."""
    return [(name, str(source.signature.type), source.value) for name, source in values.sources.items()]


@given(type_=st.sampled_from(TYPES), default=st.booleans(), value=VALUES)
def test_values_equal_graphql_cores(type_: str, default: bool, value: Any) -> None:
    """A value is coerced to the same, with the same sources, or left to graphql-core."""
    name = type_.rstrip("!")
    declared = f"$v: {type_} = {DEFAULTS[name]}" if default else f"$v: {type_}"
    document = parse(f"query({declared}) {{ a }}")
    inputs = {} if value is Ellipsis else {"v": value}
    model: Any = Executor.build(SCHEMA, document, raw_variable_values={"v": MODELS[name]})
    variables = simple_variables(SCHEMA, model.operation, model.variable_values)
    assert variables is not None
    expected: Any = Executor.build(SCHEMA, document, raw_variable_values=inputs)
    actual = coerce_simple_variables(variables, inputs)
    if actual is not None:
        assert actual.coerced == expected.variable_values.coerced
        assert sources_of(actual) == sources_of(expected.variable_values)
        assert list(map(type, actual.coerced.values())) == list(map(type, expected.variable_values.coerced.values()))


@pytest.mark.parametrize("type_", ["E", "[Int]"])
def test_other_types_are_left_to_graphql_core(type_: str) -> None:
    """Enums, lists and inputs are coerced by graphql-core."""
    document = parse(f"query($v: {type_}) {{ a }}")
    model: Any = Executor.build(SCHEMA, document)
    assert simple_variables(SCHEMA, model.operation, model.variable_values) is None


@pytest.mark.usefixtures("eager")
def test_errors_of_variables_equal_graphql_cores() -> None:
    """Invalid values are errors of the request, also when the operation is cached."""
    document = parse("query($v: Int!) { a }")
    for _ in range(2):
        assert execution.execute(SCHEMA, document, {"a": 1}, variable_values={"v": 1}).data == {"a": 1}  # type: ignore[union-attr]
    result: Any = execution.execute(SCHEMA, document, {"a": 1}, variable_values={"v": "x"})
    assert result.data is None
    assert "Variable '$v' has invalid value" in result.errors[0].message
