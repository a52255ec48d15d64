"""A schema with every feature, whose resolvers fail in every way, in the same way for the same seed.

The behavior of a resolver depends only on the seed and its path, so two executors that run the same operation get the
same values, exceptions and delays. Delays are iterations of the event loop, so the order of events is the same.
"""

import asyncio
from collections.abc import AsyncIterator, Generator, Iterator
from random import Random
from typing import Any

from graphql import (
    GraphQLArgument,
    GraphQLBoolean,
    GraphQLEnumType,
    GraphQLEnumValue,
    GraphQLField,
    GraphQLFloat,
    GraphQLID,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInt,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLResolveInfo,
    GraphQLScalarType,
    GraphQLSchema,
    GraphQLString,
    GraphQLUnionType,
    get_named_type,
)
from graphql.type import GraphQLOutputType

from tests.execution.odd_values import Odd, Slotted, serialize_even


class Stage:
    """One execution: its seed, and its events."""

    def __init__(self, seed: int, trouble: float) -> None:
        self.seed = seed
        self.trouble = trouble
        self.events: list[str] = []
        self.waiting: dict[str, asyncio.Future[Any]] = {}

    def random(self, *what: object) -> Random:
        """The random numbers for that place."""
        return Random(f"{self.seed} {what}")


EVEN = GraphQLScalarType("Even", serialize=serialize_even, parse_value=lambda value: value)
ANYTHING = GraphQLScalarType("Anything", serialize=lambda value: value)
COLOUR = GraphQLEnumType(
    "Colour", {"RED": GraphQLEnumValue("r"), "BLUE": GraphQLEnumValue("b"), "ONE": GraphQLEnumValue(1)}
)
INPUT: GraphQLInputObjectType = GraphQLInputObjectType(
    "Input",
    lambda: {
        "number": GraphQLInputField(GraphQLInt, default_value=5),
        "colour": GraphQLInputField(COLOUR),
        "texts": GraphQLInputField(GraphQLList(GraphQLNonNull(GraphQLString))),
        "inner": GraphQLInputField(INPUT),
    },
)
LEAVES: dict[str, list[Any]] = {
    "String": ["text", "", 3, True, ["no text"], 2.5, b"bytes"],
    "ID": ["id", 7, 1.5, object],
    "Int": [1, -5, True, 2**40, "12", "x", 2.0, 2.5],
    "Float": [1.5, 3, float("nan"), float("inf"), "1.25", "x", 2**70],
    "Boolean": [True, False, 1, 0, "yes"],
    "Colour": ["r", "b", "r", 1, "RED", ["unhashable"]],
    "Even": [2, 4, 3, 0, "2"],
    "Anything": [1, "x", [1, {"a": None}], {"k": "v"}, 1.5, True],
}


async def turns(count: int) -> None:
    """Let other tasks run first."""
    for _ in range(count):
        await asyncio.sleep(0)


def log(info: GraphQLResolveInfo[Any], what: str) -> Stage:
    """Record an event; returns the stage."""
    stage: Stage = info.context
    stage.events.append(f"{what} {info.path.as_list()} {info.parent_type.name}.{info.field_name}")
    return stage


def resolve(source: Any, info: GraphQLResolveInfo[Any], **arguments: Any) -> Any:
    """Return a value, or fail, synchronously or asynchronously."""
    stage = log(info, f"resolve {sorted(arguments.items())!r}")
    random = stage.random(info.path.as_list())
    match random.randrange(8):
        case 0 | 1 | 2:
            return outcome(stage, info, random)
        case 3 | 4:
            return later(stage, info, random)
        case 5:
            return loaded(stage, info, random)
        case 6 if isinstance(source, dict):
            return source.get(info.field_name)
        case _:
            return outcome(stage, info, random)


async def later(stage: Stage, info: GraphQLResolveInfo[Any], random: Random) -> Any:
    """The same, after some iterations of the event loop."""
    await turns(random.randrange(4))
    log(info, "late")
    return outcome(stage, info, random)


def loaded(stage: Stage, info: GraphQLResolveInfo[Any], random: Random) -> Any:
    """A future that a batch resolves, together with all others requested by then."""
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    if not stage.waiting:
        asyncio.get_running_loop().call_soon(load, stage)
    stage.waiting[f"{len(stage.waiting)}"] = future
    outcome = outcome_or_error(stage, info, random)
    future.add_done_callback(lambda _: None)
    future.chosen = outcome  # type: ignore[attr-defined]
    return future


def load(stage: Stage) -> None:
    """Resolve the batch; its size is an event."""
    stage.events.append(f"batch of {len(stage.waiting)}")
    futures = list(stage.waiting.values())
    stage.waiting.clear()
    for future in futures:
        if not future.cancelled():
            outcome = future.chosen  # type: ignore[attr-defined]
            if isinstance(outcome, Failure):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)


class Failure(Exception):
    """The exception that resolvers raise."""


def outcome_or_error(stage: Stage, info: GraphQLResolveInfo[Any], random: Random) -> Any:
    """The outcome; a failure as a value."""
    try:
        return outcome(stage, info, random)
    except Failure as failure:
        return failure


def outcome(stage: Stage, info: GraphQLResolveInfo[Any], random: Random) -> Any:
    """A value of the field's type, or a failure."""
    if random.random() < stage.trouble:
        match random.randrange(4):
            case 0:
                raise Failure(f"raised at {info.path.as_list()}")
            case 1:
                return Failure("returned")
            case 2:
                return None
            case _:
                return random.choice([42, "wrong", {}, [None], object])
    return generate_value(stage, info, info.return_type, random, 0)


def generate_value(
    stage: Stage, info: GraphQLResolveInfo[Any], type_: GraphQLOutputType, random: Random, depth: int
) -> Any:
    """A value of the type, or an invalid one."""
    if isinstance(type_, GraphQLNonNull):
        type_ = type_.of_type
    elif random.random() < 0.1:
        return None
    if isinstance(type_, GraphQLList):
        return many(stage, info, type_, random, depth)
    named_type = get_named_type(type_)
    if named_type.name in LEAVES:
        values = LEAVES[named_type.name]
        return random.choice(values) if random.random() < stage.trouble else values[0]
    return thing(stage, info, named_type.name, random, depth)


def many(stage: Stage, info: GraphQLResolveInfo[Any], type_: GraphQLList[Any], random: Random, depth: int) -> Any:
    """A list, or another iterable; its items may be awaitable."""
    items = [generate_value(stage, info, type_.of_type, random, depth) for _ in range(random.randrange(4))]
    if random.random() < stage.trouble / 2:
        items.append(Failure("an item"))
    match random.randrange(9):
        case 0:
            return tuple(items)
        case 1:
            return iter(items)
        case 2:
            return breaking(items, random.random() < stage.trouble)
        case 3:
            return streamed(items, random.random() < stage.trouble)
        case 4:
            return [soon(item, random.randrange(3)) if random.random() < 0.5 else item for item in items]
        case _:
            return items


class soon:  # noqa: N801 - made like a coroutine, and unlike one it may be dropped
    """An awaitable item."""

    def __init__(self, item: Any, after: int) -> None:
        self.item = item
        self.after = after

    def __await__(self) -> Generator[Any, None, Any]:
        yield from turns(self.after).__await__()
        if isinstance(self.item, Failure):
            raise self.item
        return self.item


def breaking(items: list[Any], breaks: bool) -> Iterator[Any]:
    """The items one by one; may fail in the middle."""
    for index, item in enumerate(items):
        if breaks and index == 1:
            raise Failure("iterating")
        yield item


async def streamed(items: list[Any], breaks: bool) -> AsyncIterator[Any]:
    """The same, asynchronously."""
    for index, item in enumerate(items):
        if breaks and index == 1:
            raise Failure("streaming")
        await turns(index % 2)
        yield item


def thing(stage: Stage, info: GraphQLResolveInfo[Any], name: str, random: Random, depth: int) -> Any:
    """An object: a dictionary, one with attributes, or one of a small class."""
    if name in {"Thing", "Toy"}:
        name = random.choice(["Box", "Ball"])
    kind = random.randrange(4)
    if kind == 0 and name in {"Box", "Ball"}:
        return Slotted(name)
    fields: dict[str, Any] = {"__typename": name, "typename": name}
    type_ = info.schema.type_map[name]
    assert isinstance(type_, GraphQLObjectType)
    for field, definition in type_.fields.items():
        leaf = get_named_type(definition.type).name in LEAVES
        if definition.resolve is None and (leaf or depth < 2) and random.random() < 0.9:
            value = generate_value(stage, info, definition.type, random, depth + 1)
            fields[field] = called(value) if random.random() < 0.1 else value
    return fields if kind < 3 else Odd(fields)


def called(value: Any) -> Any:
    """A callable for the default resolver."""

    def call(info: GraphQLResolveInfo[Any], **arguments: Any) -> Any:
        stage = log(info, f"call {sorted(arguments.items())!r}")
        return value if stage.seed % 2 else soon(value, 1)

    return call


def name_of(value: Any) -> Any:
    """The type's name in a value."""
    return value.get("typename") if isinstance(value, dict) else getattr(value, "typename", None)


def resolve_type(value: Any, info: GraphQLResolveInfo[Any], _type: Any) -> Any:
    """The value's type; sometimes asynchronously, sometimes wrong."""
    stage = log(info, "type")
    random = stage.random("type", info.path.as_list(), name_of(value))
    name = name_of(value)
    if random.random() < stage.trouble / 2:
        name = random.choice([None, "Nobody", "Thing", "Item", 5])
    return soon(name, random.randrange(2)) if random.random() < 0.3 else name


def is_box(value: Any, info: GraphQLResolveInfo[Any]) -> Any:
    """Whether it is a box; sometimes asynchronously."""
    stage = log(info, "is box")
    answer = name_of(value) == "Box"
    return soon(answer, 1) if stage.random("box", info.path.as_list()).random() < 0.3 else answer


def required(type_: Any) -> Any:
    """The type without null."""
    return GraphQLNonNull(type_)


def leaf_fields() -> dict[str, GraphQLField]:
    """Leaves of all kinds, half of them with a resolver."""
    types: dict[str, Any] = {
        "text": GraphQLString, "key": GraphQLID, "count": GraphQLInt, "ratio": GraphQLFloat, "flag": GraphQLBoolean,
        "colour": COLOUR, "even": EVEN, "anything": ANYTHING,
    }  # fmt: skip
    fields: dict[str, GraphQLField] = {}
    for name, type_ in types.items():
        fields[name] = GraphQLField(type_)
        fields[f"{name}Required"] = GraphQLField(required(type_))
        fields[f"{name}Resolved"] = GraphQLField(type_, resolve=resolve)
        fields[f"{name}List"] = GraphQLField(GraphQLList(type_))
        fields[f"{name}Lists"] = GraphQLField(required(GraphQLList(GraphQLList(required(type_)))), resolve=resolve)
    return fields


def own_fields() -> dict[str, GraphQLField]:
    """Objects, lists of them and lists of lists, interfaces and unions, arguments."""
    item: Any = ITEM
    arguments = {
        "number": GraphQLArgument(GraphQLInt, default_value=3),
        "numbers": GraphQLArgument(GraphQLList(required(GraphQLInt)), out_name="all_numbers"),
        "colour": GraphQLArgument(COLOUR),
        "input": GraphQLArgument(INPUT),
        "key": GraphQLArgument(GraphQLID),
    }
    return {
        "item": GraphQLField(item),
        "itemRequired": GraphQLField(required(item), resolve=resolve),
        "itemResolved": GraphQLField(item, resolve=resolve),
        "items": GraphQLField(GraphQLList(item)),
        "itemsRequired": GraphQLField(required(GraphQLList(required(item))), resolve=resolve),
        "grid": GraphQLField(GraphQLList(GraphQLList(item)), resolve=resolve),
        "thing": GraphQLField(THING, resolve=resolve),
        "thingPlain": GraphQLField(THING),
        "things": GraphQLField(GraphQLList(required(THING)), resolve=resolve),
        "toy": GraphQLField(TOY),
        "toys": GraphQLField(GraphQLList(TOY), resolve=resolve),
        "box": GraphQLField(BOX, resolve=resolve),
        "asked": GraphQLField(GraphQLString, args=arguments, resolve=resolve),
        "askedPlain": GraphQLField(GraphQLString, args=arguments),
        "askedRequired": GraphQLField(item, args={"key": GraphQLArgument(required(GraphQLID))}, resolve=resolve),
    }


def toy_fields() -> dict[str, GraphQLField]:
    """The fields of types that implement Thing, and one more."""
    return {
        "id": GraphQLField(required(GraphQLID)),
        "name": GraphQLField(GraphQLString),
        "text": GraphQLField(GraphQLString, resolve=resolve),
        "inside": GraphQLField(GraphQLList(THING), resolve=resolve),
        "item": GraphQLField(ITEM, resolve=resolve),
    }


THING: Any = GraphQLInterfaceType("Thing", toy_fields, resolve_type=resolve_type)
BOX: Any = GraphQLObjectType("Box", toy_fields, interfaces=[THING], is_type_of=is_box)
BALL: Any = GraphQLObjectType(
    "Ball", toy_fields, interfaces=[THING], is_type_of=lambda value, _info: name_of(value) == "Ball"
)
TOY: Any = GraphQLUnionType("Toy", [BOX, BALL])
ITEM: Any = GraphQLObjectType("Item", lambda: leaf_fields() | own_fields())


async def events(_source: Any, info: GraphQLResolveInfo[Any], **_arguments: Any) -> AsyncIterator[Any]:
    """Three events of any kind."""
    stage = log(info, "subscribe")
    for number in range(3):
        stage.events.append(f"event {number}")
        yield {"changed": generate_value(stage, info, ITEM, stage.random("event", number), 0)}


def mutation_fields() -> dict[str, GraphQLField]:
    """Mutations, whose order is recorded in the events."""
    return {
        "change": GraphQLField(ITEM, args={"number": GraphQLArgument(GraphQLInt)}, resolve=resolve),
        "changeRequired": GraphQLField(required(ITEM), resolve=resolve),
        "changeText": GraphQLField(GraphQLString, resolve=resolve),
        "changeTexts": GraphQLField(GraphQLList(GraphQLString), resolve=resolve),
        "changeMany": GraphQLField(GraphQLList(required(ITEM)), resolve=resolve),
    }


SCHEMA = GraphQLSchema(
    query=GraphQLObjectType("Query", lambda: leaf_fields() | own_fields()),
    mutation=GraphQLObjectType("Mutation", mutation_fields),
    subscription=GraphQLObjectType("Subscription", {"changed": GraphQLField(ITEM, subscribe=events)}),
    types=[BOX, BALL],
)
LITERALS: dict[str, list[tuple[str, Any]]] = {"Even": [("2", 2)], "Anything": [("{a: [1]}", {"a": [1]})]}
