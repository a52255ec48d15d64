"""Types read directly from rows."""

from enum import Enum
from typing import Any, Generic, NamedTuple, TypeVar

import pytest
import strawberry
from graphql import GraphQLSchema, parse
from strawberry.schema.config import StrawberryConfig

import execution
from execution import rows
from execution.compiling import Plan
from execution.plans import plan_cache
from tests.execution.differential import CALLS, both

pytestmark = pytest.mark.usefixtures("eager")
T = TypeVar("T")


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


def plan_of(schema: GraphQLSchema, text: str) -> Plan:
    """The plan of the text."""
    (operation,) = [cached for cached in plan_cache(schema).operations.values() if cached.document == parse(text)]
    (plan,) = operation.plans.values()
    assert isinstance(plan, Plan)
    return plan


def test_a_list_may_contain_rows_and_objects() -> None:
    """Columns are converted, errors stay at their field, methods get the row."""
    answer = both("{ points { x y label total __typename } }", SCHEMA)
    assert answer["data"]["points"][0] == {"x": 1, "y": 2, "label": "a", "total": 3, "__typename": "Point"}
    assert answer["data"]["points"][1] is None
    assert answer["data"]["points"][3]["label"] == "object"
    assert answer["data"]["points"][4] is None
    assert [error["path"] for error in answer["errors"]] == [["points", 1, "label"], ["points", 4, "x"]]


def test_a_field_without_a_column_is_an_attribute() -> None:
    """A field for which the row has no column is read as an attribute, and is missing."""
    assert "no attribute 'extra'" in both("{ points { extra } }", SCHEMA)["errors"][0]["message"]


def test_rows_are_values_of_an_interface() -> None:
    """An interface accepts a row of its type."""
    assert both("{ shapes { x __typename } }", SCHEMA)["data"]["shapes"][2] == {"x": 5, "__typename": "Point"}


def test_rows_are_read_by_position() -> None:
    """The generated code reads rows by position."""
    both("{ points { x y } }", SCHEMA)
    plan = plan_of(SCHEMA, "{ points { x y } }")
    assert "source[0]" in plan.source
    assert "source[1]" in plan.source


def test_invalid_row_classes_are_refused() -> None:
    """A row class belongs to one type, is a named tuple, and has the named columns."""
    with pytest.raises(ValueError, match="named tuple of one type"):
        rows.register(Point, PointRow)
    with pytest.raises(ValueError, match="named tuple of one type"):
        rows.register(Point, tuple)

    class Other(NamedTuple):
        x: int

    with pytest.raises(ValueError, match="no column 'z'"):
        rows.register(Point, Other, y=rows.Column("z"))


@strawberry.enum
class Size(Enum):
    SMALL = "small"
    LARGE = "large"

    @classmethod
    def _missing_(cls, value: object) -> "Size | None":
        return {"tiny": cls.SMALL, 3: cls.LARGE}.get(value)


class ShirtRow(NamedTuple):
    size: Any


@strawberry.type
class Shirt:
    size: Size | None


@strawberry.type
class Wardrobe:
    @strawberry.field
    def shirts(self, info: strawberry.Info) -> list[Shirt]:
        return [ShirtRow(size) for size in info.context]  # type: ignore[misc]


def test_an_enum_column_uses_missing() -> None:
    """A column of an enum accepts what its class accepts: values, and what `_missing_` converts."""
    rows.register(Shirt, ShirtRow, size=rows.Column("size", Size))
    schema = strawberry.Schema(query=Wardrobe, config=StrawberryConfig(default_resolver=rows.read))._schema
    common, others = ["small", None, "large"], ["small", "tiny", 3, "huge", None, 4]
    for sizes in (common, others, common, others):
        both("{ shirts { size } }", schema, context_value=sizes)
    answer = both("{ shirts { size } }", schema, context_value=others)
    assert [shirt["size"] for shirt in answer["data"]["shirts"]] == ["SMALL", "SMALL", "LARGE", None, None, None]
    assert [error["message"] for error in answer["errors"]] == ["'huge' is not a valid Size", "4 is not a valid Size"]


class HumanRow(NamedTuple):
    id: int
    name: str | None
    mail: str
    born: int


@strawberry.interface
class Named:
    name: str | None


@strawberry.type
class Human(Named):
    id: int
    address: str

    @strawberry.field
    def initials(self) -> str:
        return f"{self.name}"[:1]

    @strawberry.field
    def born(self) -> str:
        """Named like a column, but not a column."""
        return f"in {self.born}"


@strawberry.type
class Robot(Named):
    model: str


@strawberry.type
class Edge(Generic[T]):
    cursor: str | None
    node: T

    @strawberry.field
    def kind(self) -> str:
        return type(self.node).__name__


class EdgeRow(NamedTuple):
    cursor: str | None
    node: Any


rows.register(Human, HumanRow, ("name", "id"), address=rows.Column("mail"))
rows.register(Edge, EdgeRow, ("node",))
HUMAN = HumanRow(1, "Ada", "ada@example.com", 1815)
recorded: list[frozenset[str]] = []


@strawberry.type
class Page:
    total: int
    edges: list[Edge[Human]]
    others: list[Edge[Robot]]
    named: list[Named]


@strawberry.type
class Root:
    @strawberry.field
    def page(self, info: strawberry.Info) -> Page:
        recorded.append(rows.selected_columns(info, HumanRow, ("edges", "node"), ("named",)))
        edges: list[Any] = [EdgeRow("c", HUMAN)]
        robot = Robot(name="R", model="m")
        others: list[Any] = [EdgeRow("d", robot), Edge(cursor="e", node=robot)]
        named: list[Any] = [HUMAN, robot]
        return Page(total=1, edges=edges, others=others, named=named)

    @strawberry.field
    def human(self, info: strawberry.Info) -> Human:
        recorded.append(rows.selected_columns(info, HumanRow, ()))
        return HUMAN  # type: ignore[return-value]

    @strawberry.field
    def edge(self, info: strawberry.Info) -> Edge[Human]:
        recorded.append(rows.selected_columns(info, EdgeRow, ()))
        return EdgeRow("c", HUMAN)  # type: ignore[return-value]

    @strawberry.field
    def elsewhere(self, info: strawberry.Info) -> int:
        return len(rows.selected_columns(info, PointRow, ()))


ROOT = strawberry.Schema(query=Root, types=[Robot], config=StrawberryConfig(default_resolver=rows.read))._schema


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("{ human { id } }", "id"),
        ("{ human { again: id a: address b: address } }", "id mail"),
        ("{ human { __typename } }", ""),
        ("{ human { initials } }", "id name"),
        ("{ human { born address } }", "id name mail"),
        ("{ human { ...F ... { id } } } fragment F on Human { ... on Human { address } }", "id mail"),
        ("{ human { ... on Named { name } } }", "name"),
        ("{ page { total } }", ""),
        ("{ page { total edges { cursor } others { node { name } } } }", ""),
        ("{ page { edges { node { name } } named { __typename } } }", "name"),
        ("{ page { es: edges { n: node { id } } edges { node { address } } } }", "id mail"),
        ("{ page { named { name ... on Robot { model } } } }", "name"),
        ("{ page { named { ... on Human { id } } edges { node { address } } } }", "id mail"),
        ("{ page { edges { node { id address @skip(if: true) name @include(if: false) } } } }", "id"),
        ("query ($no: Boolean = false) { human { id address @include(if: $no) } }", "id"),
        ("query ($no: Boolean = false) { human { id ... @skip(if: $no) { address } } }", "id mail"),
        ("{ edge { cursor } }", "cursor"),
        ("{ edge { kind } }", "node"),
        ("{ edge { node { id } cursor @skip(if: true) } }", "node"),
    ],
)
def test_selected_columns(call: Any, text: str, columns: str) -> None:
    """Selected fields, under any alias and in any fragment, need their columns; methods need the registered ones."""
    for _ in range(2):
        result = call(ROOT, parse(text))
        assert result.errors is None
        assert recorded.pop() == frozenset(columns.split())


def test_a_plan_computes_its_columns_once() -> None:
    """Two executions of a plan get the same set, two plans of a document may get others."""
    document = parse("query ($mail: Boolean!) { human { id address @include(if: $mail) } }")
    for mail in (True, False, True, False):
        execution.execute(ROOT, document, variable_values={"mail": mail})
    assert recorded[-4] is recorded[-2]
    assert recorded[-3] is recorded[-1]
    assert recorded[-2:] == [{"id", "mail"}, {"id"}]


def test_columns_of_another_schemas_type_are_an_error() -> None:
    """The type that is read from the rows must be one of the schema."""
    (error,) = execution.execute(ROOT, parse("{ elsewhere }")).errors  # type: ignore[union-attr, misc]
    assert error.message == "Point is not a type of this schema"


def test_a_generic_type_is_registered_once() -> None:
    """Rows are read as any type made of the generic type, beside objects of it, by position."""
    text = "{ page { edges { cursor kind node { id } } others { cursor node { name model } __typename } } }"
    answer = both(text, ROOT)
    assert answer == {
        "data": {
            "page": {
                "edges": [{"cursor": "c", "kind": "HumanRow", "node": {"id": 1}}],
                "others": [
                    {"cursor": "d", "node": {"name": "R", "model": "m"}, "__typename": "RobotEdge"},
                    {"cursor": "e", "node": {"name": "R", "model": "m"}, "__typename": "RobotEdge"},
                ],
            }
        }
    }
    assert "source[0]" in plan_of(ROOT, text).source


def test_methods_get_the_row() -> None:
    """Also one that has the name of a column."""
    assert both("{ human { initials born } }", ROOT)["data"] == {"human": {"initials": "A", "born": "in 1815"}}


def test_a_schema_without_the_row_resolver_reads_attributes() -> None:
    """Columns are then read by the names of fields and nothing is converted, compiled or not."""

    class TallRow(NamedTuple):
        feet: int
        name: str

    @strawberry.type
    class Tall:
        feet: str
        name: str | None

    rows.register(Tall, TallRow, feet=rows.Column("feet", "{} ft".format), name=rows.Column("name", str.upper))

    @strawberry.type
    class Heights:
        @strawberry.field
        def one(self) -> Tall:
            return TallRow(6, "Ada")  # type: ignore[return-value]

        @strawberry.field
        def many(self) -> list[Tall]:
            return [TallRow(6, "Ada"), TallRow(7, "Bob")]  # type: ignore[list-item]

    schema = strawberry.Schema(query=Heights)._schema
    assert both("{ one { feet name } many { feet name } }", schema)["data"] == {
        "one": {"feet": "6", "name": "Ada"},
        "many": [{"feet": "6", "name": "Ada"}, {"feet": "7", "name": "Bob"}],
    }
