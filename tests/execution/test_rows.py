"""Types read straight from rows."""

from typing import Any, NamedTuple

import pytest
import strawberry
from graphql import execute, parse
from strawberry.schema.config import StrawberryConfig

import execution
from execution import rows
from execution.plans import plans_of


class PointRow(NamedTuple):
    x: int
    y: int | None
    label: bytes


@strawberry.interface
class Shape:
    x: int


@strawberry.type
class Point(Shape):
    y: int | None
    label: str
    extra: str = "extra"

    @strawberry.field
    def total(self) -> int:
        return self.x + (self.y or 0)


rows.register(Point, PointRow, label=rows.Column("label", bytes.decode))
TABLE = [PointRow(1, 2, b"a"), PointRow(3, None, b"\xff"), (PointRow(5, 6, b"c"))]


@strawberry.type
class Query:
    @strawberry.field
    def points(self) -> list[Point | None]:
        return [*TABLE, Point(x=7, y=8, label="object"), PointRow(None, 1, b"d")]  # type: ignore[list-item, arg-type]

    @strawberry.field
    def shapes(self) -> list[Shape]:
        return TABLE  # type: ignore[return-value]


SCHEMA = strawberry.Schema(query=Query, config=StrawberryConfig(default_resolver=rows.read))._schema


@pytest.fixture(autouse=True)
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution.limits, "sights", 1)


def both(text: str) -> dict[str, Any]:
    """The answer, after checking that graphql-core gives the same."""
    document = parse(text)
    compiled, by_core = execution.execute(SCHEMA, document), execute(SCHEMA, document)
    assert compiled.formatted == by_core.formatted  # type: ignore[union-attr]
    return compiled.formatted  # type: ignore[union-attr, return-value]


def test_rows_and_objects_stand_side_by_side() -> None:
    """A list may hold rows and objects; columns are converted, errors stay where they belong, methods get the row."""
    answer = both("{ points { x y label total __typename } }")
    assert answer["data"]["points"][0] == {"x": 1, "y": 2, "label": "a", "total": 3, "__typename": "Point"}
    assert answer["data"]["points"][1] is None
    assert answer["data"]["points"][3]["label"] == "object"
    assert answer["data"]["points"][4] is None
    assert [error["path"] for error in answer["errors"]] == [["points", 1, "label"], ["points", 4, "x"]]


def test_a_field_without_a_column_is_an_attribute() -> None:
    """What the row has no column for is looked up as an attribute, and misses."""
    assert "no attribute 'extra'" in both("{ points { extra } }")["errors"][0]["message"]


def test_rows_pass_as_their_interface() -> None:
    """An interface takes a row for its type."""
    assert both("{ shapes { x __typename } }")["data"]["shapes"][2] == {"x": 5, "__typename": "Point"}


def test_rows_are_read_by_position() -> None:
    """The generated code reads rows by position."""
    both("{ points { x y } }")
    (operation,) = [
        kept for kept in plans_of(SCHEMA).operations.values() if kept.document == parse("{ points { x y } }")
    ]
    (plan,) = operation.plans.values()
    assert not isinstance(plan, str)
    assert "source[0]" in plan.source
    assert "source[1]" in plan.source


def test_rows_that_do_not_fit_are_refused() -> None:
    """A row class belongs to one type, is a named tuple, and has the columns that are named."""
    with pytest.raises(ValueError, match="named tuple of one type"):
        rows.register(Point, PointRow)
    with pytest.raises(ValueError, match="named tuple of one type"):
        rows.register(Point, tuple)

    class Other(NamedTuple):
        x: int

    with pytest.raises(ValueError, match="no column 'z'"):
        rows.register(Point, Other, y=rows.Column("z"))
