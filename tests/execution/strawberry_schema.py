"""A Strawberry schema with Strawberry's features: extensions, permissions, dataloaders, casts, generics, rows."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import Annotated, Any, Generic, NamedTuple, TypeVar

import strawberry
from strawberry.dataloader import DataLoader
from strawberry.extensions import FieldExtension
from strawberry.permission import BasePermission
from strawberry.schema.config import StrawberryConfig

from execution import CompiledStrawberryExecutor, rows, selected_fields

T = TypeVar("T")
NOW = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)


@dataclass
class Context:
    """The events of an execution."""

    events: list[str] = field(default_factory=list)
    loader: DataLoader[int, list[str]] | None = None

    def tags(self, key: int) -> Awaitable[list[str]]:
        """The tags of a person, batched."""
        if self.loader is None:
            self.loader = DataLoader(self.load)
        return self.loader.load(key)

    async def load(self, keys: Sequence[int]) -> list[list[str]]:
        """A batch."""
        self.events.append(f"batch {list(keys)}")
        return [[f"tag{key}"] * (key % 3) for key in keys]


Info = strawberry.Info[Context, None]


@strawberry.enum
class Mood(Enum):
    HAPPY = "happy"
    GRIM = "grim"


class Shout(FieldExtension):
    """Makes strings upper-case."""

    def resolve(self, next_: Any, source: Any, info: strawberry.Info, **kwargs: Any) -> Any:
        """Resolve, then convert to upper case."""
        return str(next_(source, info, **kwargs)).upper()


class Delay(FieldExtension):
    """Lets other tasks run first, and records it."""

    async def resolve_async(self, next_: Any, source: Any, info: strawberry.Info, **kwargs: Any) -> Any:
        """Wait, then resolve."""
        info.context.events.append(f"later {info.path.key} {kwargs}")
        await asyncio.sleep(0)
        return await next_(source, info, **kwargs)


class Forbidden(BasePermission):
    message = "Forbidden."

    def has_permission(self, source: Any, info: strawberry.Info, **kwargs: Any) -> bool:
        """Always denies; the check is recorded as an event."""
        info.context.events.append("refused")
        return False


@strawberry.interface
class Node:
    id: strawberry.ID

    @strawberry.field
    def kind(self) -> str:
        return type(self).__name__


@strawberry.type
class Person(Node):
    name: str
    mood: Mood | None = None
    born: datetime | None = None
    number: int = 0
    friends: list["Person | None"] = strawberry.field(default_factory=list)
    secret: str | None = strawberry.field(default="secret", permission_classes=[Forbidden])
    loud: str = strawberry.field(default="loud", extensions=[Shout()])
    score: strawberry.Private[int] = 0

    @strawberry.field
    def double(self) -> int:
        return self.number * 2

    @strawberry.field
    async def slow(self) -> str | None:
        await asyncio.sleep(0)
        return self.name if self.number % 2 else None

    @strawberry.field
    async def fails(self) -> int:
        raise ValueError(f"no {self.number}")

    @strawberry.field
    def tags(self, info: Info) -> list[str]:
        return info.context.tags(self.number)  # type: ignore[return-value]  # awaited by the executor

    @strawberry.field
    def greeting(self, info: Info, other: str = "you", times: int = 1) -> str:
        info.context.events.append(f"greeting {info.path.key} {info.field_name} {info.python_name}")
        return f"{self.name} greets {other} " * times

    @strawberry.field(extensions=[Shout()])  # type: ignore[untyped-decorator]
    def cried(self, some_words: str = "hey", mood: Mood = Mood.GRIM, often: int | None = None) -> str:
        if often == 0:
            raise ValueError(some_words)
        return f"{self.name} {some_words} {mood.value} {often}"

    @strawberry.field(extensions=[Delay(), Delay()])  # type: ignore[untyped-decorator]
    async def waited(self, info: Info, how_long: int = 1) -> str:
        for _ in range(how_long % 4):
            await asyncio.sleep(0)
        info.context.events.append(f"waited {how_long} {info.python_name}")
        return f"{self.name} {how_long}"

    @strawberry.field(permission_classes=[Forbidden])  # type: ignore[untyped-decorator]
    def refused(self, number: int = 1) -> str | None:
        return str(number)

    @strawberry.field
    def selected(self, info: Info) -> "Person":
        info.context.events.append(f"selected {sorted(selected_fields(info))}")
        return self


@strawberry.type
class Robot(Node):
    model: str

    @strawberry.field
    def maker(self, root: strawberry.Parent["Robot"]) -> Person | None:
        return person(int(root.id)) if root.id.isdigit() else None


@strawberry.type
class Edge(Generic[T]):
    node: T
    cursor: str


@strawberry.type
class Connection(Generic[T]):
    edges: list[Edge[T]]
    total: strawberry.Private[int]

    @strawberry.field
    async def total_count(self) -> int:
        return self.total


class RobotRow(NamedTuple):
    id: int
    model: str


rows.register(Robot, RobotRow, id=rows.Column("id", str))


class UnknownObject:
    """An object of no type of the schema."""

    id = "s"
    name = "Unknown"
    model = None


@strawberry.input
class Wanted:
    count: int = 3
    moods: list[Mood] = strawberry.field(default_factory=list)


Being = Annotated[Person | Robot, strawberry.union("Being")]


def person(number: int) -> Person:
    """A person; some have unusual values."""
    friends: list[Person | None] = [None] if number == 3 else []
    if number > 4:
        friends = [person(number - 3), person(number - 4)]
    mood: Any = [Mood.HAPPY, Mood.GRIM, None, "happy", 7][number % 5]
    return Person(
        id=strawberry.ID(str(number)),
        name=f"P{number}" if number != 6 else None,  # type: ignore[arg-type]  # null where it is not allowed
        mood=mood,
        born=NOW if number % 2 else None,
        number=number if number != 7 else "seven",  # type: ignore[arg-type]  # of the wrong type
        friends=friends,
    )


def being(number: int) -> Any:
    """A person, a robot, a row, or an object of no type."""
    match number % 5:
        case 0:
            return Robot(id=strawberry.ID(str(number)), model=f"R{number}")
        case 1:
            return RobotRow(number, f"row {number}")
        case 2:
            return strawberry.cast(Robot, UnknownObject())
        case 3 if number > 10:
            return UnknownObject()
        case _:
            return person(number)


@strawberry.type
class Query:
    @strawberry.field
    def person(self, number: int = 1) -> Person | None:
        return person(number) if number >= 0 else None

    @strawberry.field
    async def people(self, info: Info, wanted: Wanted | None = None) -> list[Person]:
        info.context.events.append(f"people {wanted}")
        return [person(number) for number in range(wanted.count if wanted else 4)]

    @strawberry.field
    def beings(self, count: int = 6) -> list[Being | None]:
        return [being(number) for number in range(count)]

    @strawberry.field
    def nodes(self, count: int = 4) -> list[Node]:
        return [being(number) for number in range(count)]

    @strawberry.field
    def robots(self, count: int = 3) -> list[Robot]:
        return [RobotRow(number, f"row {number}") for number in range(count)]  # type: ignore[misc]  # rows stand for robots

    @strawberry.field
    async def connection(self, info: Info, count: int = 3) -> Connection[Person]:
        info.context.events.append(f"counted {'totalCount' in selected_fields(info)}")
        edges = [Edge(node=person(number), cursor=f"c{number}") for number in range(count)]
        return Connection(edges=edges, total=count)

    @strawberry.field
    def sum(self, numbers: list[int]) -> int:
        return sum(numbers)

    forbidden: str = strawberry.field(default="never", permission_classes=[Forbidden])


@strawberry.type
class Mutation:
    @strawberry.mutation
    async def rename(self, info: Info, name: str = "new", fails: bool = False) -> Person:
        info.context.events.append(f"rename {name}")
        await asyncio.sleep(0)
        if fails:
            raise ValueError(name)
        info.context.events.append(f"renamed {name}")
        return person(1)

    @strawberry.mutation
    def note(self, info: Info, text: str = "") -> str | None:
        info.context.events.append(f"note {text}")
        return text or None


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def watch(self, info: Info, count: int = 3) -> AsyncIterator[Being]:
        for number in range(count):
            info.context.events.append(f"watch {number}")
            yield being(number)


CONFIG = StrawberryConfig(default_resolver=rows.read)
SCHEMA = strawberry.Schema(
    query=Query,
    mutation=Mutation,
    subscription=Subscription,
    config=CONFIG,
    execution_context_class=CompiledStrawberryExecutor,
)
PLAIN = strawberry.Schema(query=Query, mutation=Mutation, subscription=Subscription, config=CONFIG)
LITERALS: dict[str, list[tuple[str, Any]]] = {
    "Int": [(str(number), number) for number in (0, 1, 2, 3, 5, 7, 9, 14)],
}
