"""The assumptions about Strawberry's private interface: each fails with an explanation when Strawberry changes."""

import asyncio
import dataclasses
import re
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import strawberry
from strawberry.schema.exception_handlers import ExceptionHandler
from strawberry.types.field import StrawberryField

import execution
from execution.strawberry_fields import decides_by_class
from execution.strawberry_private import (
    CAST,
    StrawberryExecutor,
    checks_class_only,
    enum_class,
    extension_calls,
    is_constant_false,
    raw_info,
    resolver_kind,
    resolves_by_class,
    strawberry_definition,
    strawberry_is_awaitable,
)
from tests.execution.strawberry_schema import PLAIN, SCHEMA, Mood, Person, Robot, UnknownObject

CORE = SCHEMA._schema
NODE: Any = CORE.type_map["Node"]
PERSON: dict[str, Any] = CORE.type_map["Person"].fields  # type: ignore[attr-defined]


@strawberry.type
class Failed:
    message: str


@strawberry.type
class Done:
    name: str


@strawberry.type
class Handled:
    @strawberry.field
    def done(self) -> Done | Failed:
        raise KeyError("reason")


class Handle(ExceptionHandler[KeyError, Failed]):
    def handle(self, exception: KeyError, *, field: Any, info: Any) -> Failed:
        """Raise the error."""
        return Failed(message=str(exception))


def handling() -> strawberry.Schema:
    """A schema that turns exceptions into values."""
    compiled = execution.CompiledStrawberryExecutor
    return strawberry.Schema(query=Handled, exception_handlers=[Handle()], execution_context_class=compiled)


def executors() -> tuple[Any, Any]:
    """The executors that Strawberry makes for `execute` and for `execute_sync`."""
    instances: list[Any] = []

    class Listening(StrawberryExecutor):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            instances.append(self)

    schema = strawberry.Schema(query=Handled, execution_context_class=Listening)
    asyncio.run(schema.execute("{ __typename }"))
    schema.execute_sync("{ __typename }")
    return instances[0], instances[1]


def determined_by_class() -> bool:
    """Whether the class determines the type, for types with an interface and for registered rows."""
    types = [CORE.type_map["Person"], CORE.type_map["Robot"]]
    first: Any = types[0]
    return checks_class_only(first.is_type_of) and all(decides_by_class(type_) for type_ in types)  # type: ignore[arg-type]


def marked() -> bool:
    """Whether a cast value has the attribute, and no other."""
    return vars(strawberry.cast(Robot, UnknownObject())) == {CAST: Robot}


# Each is an assumption about Strawberry that `execution/strawberry_private.py` relies on.
TAKEN_FOR_TRUE: dict[str, Callable[[], bool]] = {
    "a plain field is resolved by the converter's `_get_basic_result`": lambda: (
        resolver_kind(PERSON["name"]) == "attribute"
    ),
    "a field with a resolver is resolved by the converter's `_resolver`": lambda: (
        resolver_kind(PERSON["greeting"]) == "call"
    ),
    "a field with an asynchronous resolver is resolved by the converter's `_async_resolver`": lambda: (
        resolver_kind(PERSON["waited"]) == "coroutine"
    ),
    "exception handlers are in the resolver's cell `field_exception_handlers`": lambda: (
        resolver_kind(handling()._schema.query_type.fields["done"]) is None  # type: ignore[union-attr]
    ),
    "where a class decides, `is_type_of` is the function of that name in the converter": determined_by_class,
    "the converter's `resolve_type` takes a value's class for its type, unless it is cast": lambda: (
        resolves_by_class(NODE.resolve_type, Robot)
        and not resolves_by_class(NODE.resolve_type, UnknownObject)
        and not resolves_by_class(lambda *_: "Robot", Robot)
    ),
    "definitions are in the extensions of fields, types and the schema": lambda: (
        isinstance(strawberry_definition(PERSON["name"]), StrawberryField)
        and strawberry_definition(CORE.type_map["Person"]).origin is Person
        and strawberry_definition(CORE) is SCHEMA
    ),
    "`strawberry.cast` marks a value by one attribute": marked,
    "an info is a data class of `_raw_info` and `_field`": lambda: (
        [field.name for field in dataclasses.fields(strawberry.Info)] == ["_raw_info", "_field"]
        and raw_info(strawberry.Info("raw", "field")) == "raw"  # type: ignore[arg-type, comparison-overlap]
    ),
    "calls of extensions come innermost first, and there are none without extensions": lambda: (
        [call.__self__ for call in extension_calls(strawberry_definition(PERSON["waited"]))]
        == strawberry_definition(PERSON["waited"]).extensions
        and extension_calls(strawberry_definition(PERSON["greeting"])) == []
    ),
    "who sets no `execution_context_class` gets the one that ours extends": lambda: (
        PLAIN.execution_context_class is StrawberryExecutor
    ),
    "that class does no more than make infos, of `operation_extensions`": lambda: (
        {name for name in vars(StrawberryExecutor) if callable(getattr(StrawberryExecutor, name))}
        == {"__init__", "build_resolve_info"}
        and "operation_extensions" in StrawberryExecutor.build_resolve_info.__code__.co_names
    ),
    "`execute_sync` makes its `is_async_iterable` in the schema's module": lambda: is_constant_false(
        executors()[1].is_async_iterable
    ),
    "`execute` asks `optimized_is_awaitable` what is strawberry_is_awaitable": lambda: (
        executors()[0].is_awaitable is strawberry_is_awaitable
    ),
    "the type of an enum has its class": lambda: (
        enum_class(CORE.type_map["Mood"]) is Mood and enum_class(CORE.type_map["Person"]) is None
    ),
}


@pytest.mark.parametrize("fact", TAKEN_FOR_TRUE)
def test_assumptions_about_strawberry(fact: str) -> None:
    """The installed version fulfils each private assumption."""
    assert TAKEN_FOR_TRUE[fact](), f"in Strawberry {version('strawberry-graphql')} it is not so that {fact}"


def test_one_module_uses_strawberrys_private_interface() -> None:
    """No other module of the package uses private names, or imports what Strawberry does not document."""
    room = Path(execution.__file__).parent
    modules = [path for path in room.glob("*.py") if path.stem != "strawberry_private"]
    assert len(modules) > 10
    private = r"\b_raw_info|\b_field\b|_strawberry_schema|strawberry-definition|import \w*GraphQLCore|wrapped_cls"
    inside = r"strawberry\.(?:schema\.(?!config)|execution|types\.cast|extensions\.|schema_)"
    uses = {
        f"{path.name}: {word}"
        for path in modules
        for word in re.findall(f"{private}|{inside}", path.read_text(encoding="utf-8"))
    }
    assert uses == set()


def test_exception_handlers_need_strawberrys_resolver() -> None:
    """Where exceptions of resolvers become values of the response, Strawberry's resolver is called."""
    answer = handling().execute_sync("{ done { ... on Failed { message } } }")
    assert answer.errors is None
    assert answer.data == {"done": {"message": "'reason'"}}
