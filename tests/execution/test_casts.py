"""Values that `strawberry.cast` assigns a type, where types are read from rows."""

from typing import Annotated, Any, Generic, NamedTuple, TypeVar

import pytest
import strawberry
from strawberry.schema.config import StrawberryConfig

from execution import rows
from tests.execution.differential import both

pytestmark = pytest.mark.usefixtures("eager")


class KittenColumns(NamedTuple):
    name: str


class KittenRow(KittenColumns):
    """Can be cast, as it has a dictionary."""


@strawberry.interface
class Animal:
    name: str


@strawberry.type
class Kitten(Animal):
    pass


@strawberry.type
class Dog(Animal):
    pass


@strawberry.type
class Statue:
    name: str


rows.register(Kitten, KittenRow, name=rows.Column("name", str.upper))
CREATURES = (Kitten, Dog, Statue)
current_values: list[Any] = []


@strawberry.type
class Shelter:
    @strawberry.field
    def kitten(self) -> Kitten | None:
        """The first value."""
        return current_values[0]  # type: ignore[no-any-return]

    @strawberry.field
    def statue(self) -> Statue | None:
        """The first value."""
        return current_values[0]  # type: ignore[no-any-return]

    @strawberry.field
    def kittens(self) -> list[Kitten | None]:
        """All values."""
        return current_values

    @strawberry.field
    def statues(self) -> list[Statue | None]:
        """All values."""
        return current_values

    @strawberry.field
    def animals(self) -> list[Animal | None]:
        """All values."""
        return current_values

    @strawberry.field
    def creatures(self) -> list[Annotated[Kitten | Dog | Statue, strawberry.union("Creature")] | None]:
        """All values."""
        return current_values


SHELTER = strawberry.Schema(query=Shelter, types=[Dog], config=StrawberryConfig(default_resolver=rows.read))._schema
SHELTERED = """{
    kitten { name } statue { name } kittens { name } statues { name } animals { __typename name }
    creatures { __typename ... on Kitten { name } ... on Dog { name } ... on Statue { name } }
}"""


class UnknownObject:
    """An object of no type of the schema."""

    name = "Eve"


@pytest.mark.parametrize("type_", [None, *CREATURES])
@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("make", [*CREATURES, KittenRow, UnknownObject])
def test_values_may_be_cast(make: Any, first: bool, type_: type | None) -> None:
    """A value, a row or another object cast to a type gives the same response as graphql-core."""
    values = [make() if make is UnknownObject else make(name="Eve") for _ in range(2)]
    if type_ is not None:
        strawberry.cast(type_, values[0])
    current_values[:] = values if first else values[::-1]
    for _ in range(2):
        both(SHELTERED, SHELTER)


def test_an_object_cast_to_a_type_with_rows_has_that_type() -> None:
    """An object cast to a kitten is one, in fields, lists, interfaces and unions."""
    current_values[:] = [strawberry.cast(Kitten, UnknownObject())]
    for _ in range(2):
        answer = both("{ kitten { name } kittens { name } animals { __typename } creatures { __typename } }", SHELTER)
        assert answer == {
            "data": {
                "kitten": {"name": "Eve"},
                "kittens": [{"name": "Eve"}],
                "animals": [{"__typename": "Kitten"}],
                "creatures": [{"__typename": "Kitten"}],
            }
        }


T = TypeVar("T")


@strawberry.interface
class Shape:
    name: str

    @classmethod
    def resolve_type(cls, value: Any, *_: Any) -> str:
        """By the value."""
        return str(value.name)


@strawberry.type
class Round(Shape):
    pass


@strawberry.type
class Square(Shape):
    pass


class Either(Round, Square):
    """An object of both types."""


@strawberry.interface
class Holder:
    name: str


@strawberry.type
class Box(Holder, Generic[T]):
    content: T


@strawberry.type
class Shelf:
    @strawberry.field
    def shapes(self) -> list[Shape]:
        """Values of one class that resolve to both types."""
        return [Either(name=name) for name in ("Round", "Square", "Round")]

    @strawberry.field
    def boxes(self) -> list[Holder]:
        """Values of one class whose type depends on their content."""
        return [Box(name="a", content=1), Box(name="b", content="x"), Box(name="c", content=2)]

    numbers: list[Box[int]] = strawberry.field(default_factory=list)
    texts: list[Box[str]] = strawberry.field(default_factory=list)


def test_a_class_that_does_not_decide_is_resolved_for_each_value() -> None:
    """Where an interface has a `resolve_type` of its own, and where a type is generic."""
    schema = strawberry.Schema(query=Shelf, types=[Round, Square])._schema
    for _ in range(2):
        answer = both("{ shapes { __typename name } boxes { __typename name } }", schema)
        assert [shape["__typename"] for shape in answer["data"]["shapes"]] == ["Round", "Square", "Round"]
        assert [box["__typename"] for box in answer["data"]["boxes"]] == ["IntBox", "StrBox", "IntBox"]
