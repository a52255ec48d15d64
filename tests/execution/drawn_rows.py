"""Types read from rows, and tables of rows, generated at random; some values are wrong."""

import asyncio
from collections import namedtuple
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from enum import Enum
from itertools import count
from random import Random
from typing import Any, NewType

import strawberry
from graphql import Undefined
from strawberry.schema.config import StrawberryConfig

from execution import Column, CompiledStrawberryExecutor, rows

NUMBERS = count()
NOW = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
Address = NewType("Address", str)
Moment = NewType("Moment", datetime)
CONFIG = StrawberryConfig(
    default_resolver=rows.read,
    scalar_map={
        Address: strawberry.scalar(name="Address", serialize=str, parse_value=str),
        Moment: strawberry.scalar(name="Moment", serialize=datetime.isoformat, parse_value=datetime.fromisoformat),
    },
)


@strawberry.enum
class Mood(Enum):
    HAPPY = "happy"
    GRIM = "grim"
    GLAD = "happy"  # noqa: PIE796 - another name for the first


class Native(CompiledStrawberryExecutor):
    """Leaves native values to the encoder. An enum is not a scalar, so it is coerced."""

    encoder_scalars = {"Moment": datetime, "Address": str, "Mood": Mood}  # noqa: RUF012 - the executor reads it


@strawberry.enum
class Known(Enum):
    YES = 1
    NEVER = None


class NotAMapping(dict[str, Any]):
    """Not a dictionary to read from."""

    def opposite(self, key: str) -> Any:
        """The other mood."""
        return Mood.GRIM if self[key] is Mood.HAPPY else Mood.HAPPY


@strawberry.interface
class Numbered:
    number: int


class Awaitable:
    """Yields its value when it is awaited, any number of times."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __await__(self) -> Generator[Any, Any, Any]:
        yield from asyncio.sleep(0).__await__()
        if isinstance(self.value, Exception):
            raise self.value
        return self.value


async def soon(value: Any) -> Any:
    """The value, asynchronously."""
    await asyncio.sleep(0)
    return value


async def decoded_soon(value: bytes) -> str:
    """The text, asynchronously."""
    await asyncio.sleep(0)
    return value.decode()


def moody(value: str) -> Any:
    """Returns a text, a coroutine or None."""
    if value == "later":
        return soon(value)
    return None if value == "nothing" else value.upper()


@dataclass(frozen=True)
class Kind:
    """A kind of column: the field's type, valid values, and the conversion."""

    type_: Any
    values: tuple[Any, ...]
    convert: Callable[[Any], Any] | None = None


TEXTS = (b"", b"text", "snow ☃".encode())
MOODS = {"happy": Mood.HAPPY, "dull": None, "odd": "odd"}
KINDS = (
    Kind(str, ("", "text", "snow ☃")),
    Kind(str, ("", "text")),
    Kind(int, (0, 7, -(2**31), 2**31 - 1)),
    Kind(float, (0.5, -1.25, 1e300)),
    Kind(bool, (True, False)),
    Kind(strawberry.ID, ("a1", "b2")),
    Kind(Mood, ("happy", "grim"), Mood),
    Kind(Mood, (Mood.HAPPY, Mood.GRIM)),
    Kind(Mood, ("happy",), MOODS.__getitem__),
    Kind(Mood, ("happy",), MOODS.get),
    Kind(Mood, ("happy",), NotAMapping(MOODS).opposite),
    Kind(Known, (1,), Known),
    Kind(Known, ("happy",), Mood),
    Kind(str, TEXTS, bytes.decode),
    Kind(strawberry.ID, (1, 2), str),
    Kind(str, (b"a",), decoded_soon),
    Kind(str, ("text", "later"), moody),
    Kind(Moment, (NOW, NOW + timedelta(microseconds=1))),
    Kind(Address, ("ada@example.com",)),
    Kind(Address, TEXTS, bytes.decode),
    Kind(str, ("happy",), Mood),
)
WRONG: tuple[Any, ...] = (
    None,
    Undefined,
    "wrong",
    "later",
    "nothing",
    "dull",
    "odd",
    "",
    2**40,
    1,
    2.5,
    float("nan"),
    True,
    b"\xff",
    b"bytes",
    NOW,
    NOW.astimezone(timezone(timedelta(seconds=90))),
    NOW.replace(tzinfo=None),
    Mood.GRIM,
    [],
    {"f0": 1},
    ValueError("in the row"),
    Awaitable("soon"),
    Awaitable(None),
    Awaitable(ValueError("later")),
)


@dataclass
class GeneratedType:
    """A type, its fields (name, nullability, kind), and the classes of its rows."""

    type_: type
    columns: list[tuple[str, bool, Any]]
    rows: list[Any] = field(default_factory=list)


def drawn_type(random: Random, depth: int = 0) -> GeneratedType:
    """A type with rows."""
    columns: list[tuple[str, bool, Any]] = []
    numbered = random.random() < 0.3
    if numbered:
        columns.append(("number", False, Kind(int, (1, 2, 3))))
    for index in range(random.randint(1, 5)):
        nested = depth < 2 and random.random() < 0.35
        kind = drawn_type(random, depth + 1) if nested else random.choice(KINDS)
        columns.append((f"f{index}_of", random.random() < 0.5, kind))
    if depth < 2 and random.random() < 0.3:
        columns.append(("many", False, None))
    generated = GeneratedType(made_type(columns, numbered=numbered, method=random.random() < 0.2), columns)
    for _ in range(2 if random.random() < 0.2 else 1):
        fewer = random.random() < 0.1 and len(columns) > 1
        order = random.sample(columns, len(columns) - fewer)
        generated.rows.append(made_row(generated.type_, order, lambda: random.random() < 0.3))
    return generated


def of_one_column(kind: Kind, *, nullable: bool) -> GeneratedType:
    """A type with this one field."""
    columns: list[tuple[str, bool, Any]] = [("f0_of", nullable, kind)]
    generated = GeneratedType(made_type(columns, numbered=False, method=False), columns)
    generated.rows.append(made_row(generated.type_, columns, lambda: False))
    return generated


def made_type(columns: list[tuple[str, bool, Any]], *, numbered: bool, method: bool) -> type:
    """A Strawberry type with these fields."""
    annotations: dict[str, Any] = {}
    for name, nullable, kind in columns:
        annotation = list[int] if kind is None else kind.type_
        annotations[name] = annotation | None if nullable else annotation
    body: dict[str, Any] = {"__annotations__": annotations}
    if method:
        body["sized"] = strawberry.field(sized)
    type_: type = strawberry.type(type(f"Drawn{next(NUMBERS)}", (Numbered,) if numbered else (), body))
    return type_


def sized(self: Any) -> int:
    """A method of rows and of objects."""
    return len(self) if isinstance(self, tuple) else -1


def made_row(type_: type, order: list[tuple[str, bool, Any]], renames: Callable[[], bool]) -> Any:
    """A registered row class; its columns in that order, some with other names than the fields."""
    names = {name: f"{name}_column" if renames() else name for name, _, _ in order}
    row: Any = namedtuple(f"Row{next(NUMBERS)}", list(names.values()))  # type: ignore[misc]  # noqa: PYI024 - made
    columns = {
        name: Column(names[name], kind.convert if isinstance(kind, Kind) else None)
        for name, _, kind in order
        if names[name] != name or (isinstance(kind, Kind) and kind.convert is not None)
    }
    rows.register(type_, row, **columns)
    return row


def drawn_value(random: Random, generated: GeneratedType, trouble: float) -> Any:
    """A row, or, with the probability `trouble`, an object of the type, a row of another class, or any value."""
    if random.random() < trouble / 2:
        cell = random.choice([*WRONG, lambda: drawn_object(random, generated, trouble), Other(1, 2)])
        return cell() if callable(cell) else cell
    row = random.choice(generated.rows) if random.random() < trouble else generated.rows[0]
    cells = {name: (nullable, kind) for name, nullable, kind in generated.columns}
    return row(*(drawn_cell(random, *cells[name.removesuffix("_column")], trouble) for name in row._fields))


def drawn_cell(random: Random, nullable: bool, kind: Any, trouble: float) -> Any:
    """The value of a column."""
    if random.random() < trouble:
        return None if random.random() < 0.3 else random.choice(WRONG)
    if nullable and random.random() < 0.2:
        return None
    if kind is None:
        return [1, 2]
    return random.choice(kind.values) if isinstance(kind, Kind) else drawn_value(random, kind, trouble)


def drawn_object(random: Random, generated: GeneratedType, trouble: float) -> Any:
    """An object of the type."""
    return generated.type_(
        **{name: drawn_cell(random, nullable, kind, trouble) for name, nullable, kind in generated.columns}
    )


class Other(namedtuple("Other", ["f0_of", "number"])):  # noqa: PYI024 - as drawn rows are
    """A row of another type."""

    __slots__ = ()


class Tables:
    """The root: the same rows in containers of several types."""

    def __init__(self, items: list[Any]) -> None:
        self.items = self.sure = items
        self.tupled = tuple(items)
        self.nested = [items, items[:1]]
        self.one = items[0] if items else None

    @property
    def iterator(self) -> Iterator[Any]:
        """The rows as an iterator."""
        return iter(self.items)


def schema_of(generated: GeneratedType) -> Any:
    """A schema with tables of the type, under the names of `Tables`."""
    type_: Any = generated.type_
    annotations = {
        "items": list[type_ | None] | None,
        "sure": list[type_] | None,
        "tupled": list[type_ | None] | None,
        "iterator": list[type_ | None] | None,
        "nested": list[list[type_] | None] | None,
        "one": type_ | None,
    }
    root = strawberry.type(type("Query", (), {"__annotations__": annotations}))
    return strawberry.Schema(query=root, config=CONFIG, execution_context_class=Native)._schema
