"""Threads may execute operations of one schema at the same time, as servers with synchronous resolvers do."""

import asyncio
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
import strawberry
from graphql import parse

import execution
from execution.executors import MAX_TEMPLATES
from execution.plans import plan_cache

THREADS = 6
KINDS = range(12)


@strawberry.interface
class Shape:
    id: int


SHAPES = [strawberry.type(type(f"Shape{kind}", (Shape,), {"__annotations__": {f"f{kind}": int}})) for kind in KINDS]


@strawberry.type
class Root:
    @strawberry.field
    def shapes(self) -> list[Shape]:
        """One of each kind."""
        return [shape(id=kind, **{f"f{kind}": kind}) for kind, shape in enumerate(SHAPES)]

    @strawberry.field
    def number(self, plus: int) -> int:
        """The next number."""
        return plus + 1

    @strawberry.field
    async def caller(self, info: strawberry.Info, mark: str) -> str | None:
        """The caller, after other threads ran; an error where it must not be returned."""
        for _ in range(3):
            await asyncio.sleep(0)
        if mark.endswith("!"):
            raise ValueError(f"{info.context} said {mark}")
        return f"{info.context} said {mark}"


@pytest.fixture
def small_limits(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Threads switch often, everything is compiled, and the cache is small."""
    for name, value in {"min_uses": 1, "time_share": 1000.0, "max_operations": 5, "max_fields": 60}.items():
        monkeypatch.setattr(execution.limits, name, value)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def schema() -> strawberry.Schema:
    """A schema without plans."""
    return strawberry.Schema(query=Root, types=SHAPES, execution_context_class=execution.CompiledStrawberryExecutor)


def at_once(schema: strawberry.Schema, texts: list[str]) -> list[list[Any]]:
    """The responses of each thread to these texts."""
    barrier = Barrier(THREADS)

    def answers(_: int) -> list[Any]:
        barrier.wait()
        results = [schema.execute_sync(text) for text in texts]
        return [(result.data, result.errors) for result in results]

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(answers, range(THREADS)))


@pytest.mark.usefixtures("small_limits")
def test_threads_compile_a_type_at_once() -> None:
    """The plans of an interface's types are compiled while other threads need them, too."""
    parts = " ".join(f"... on Shape{kind} {{ f{kind} }}" for kind in KINDS)
    expected = [{"id": kind, f"f{kind}": kind} for kind in KINDS]
    for _ in range(5):
        for answers in at_once(schema(), [f"{{ shapes {{ id {parts} }} }}"]):
            assert answers == [({"shapes": expected}, None)]


@pytest.mark.usefixtures("small_limits")
def test_threads_share_a_small_cache() -> None:
    """Operations are added, found and evicted by all threads, and counted correctly."""
    shared = schema()
    texts = [f"{{ n{number}: number(plus: {number}) }}" for number in [*range(20), *range(20)]]
    expected = [({f"n{number}": number + 1}, None) for number in [*range(20), *range(20)]]
    for answers in at_once(shared, texts):
        assert answers == expected
    plans = shared._schema.__dict__["__compiled_operations__"]
    assert len(plans.operations) == execution.limits.max_operations
    assert plans.field_count == sum(operation.field_count for operation in plans.operations.values())
    assert len(plans.by_identity) == sum(len(operation.aliases) for operation in plans.operations.values())


@pytest.mark.usefixtures("small_limits")
def test_threads_with_their_own_event_loops_share_a_template() -> None:
    """With one compiled document and template, each caller gets its own response."""
    shared = schema()._schema
    document = parse("query ($mark: String!) { caller(mark: $mark) shapes { id } again: caller(mark: $mark) }")
    shapes = [{"id": kind} for kind in KINDS]
    barrier = Barrier(THREADS)

    async def ask(who: str, mark: str) -> Any:
        result: Any = execution.execute(
            shared,
            document,
            context_value=who,
            variable_values={"mark": mark},
            executor_class=execution.CompiledStrawberryExecutor,
        )
        return await result

    async def talk(who: str) -> None:
        for turn in range(40):
            marks = [f"{turn}", f"{turn}!", f"{turn}?"]
            for mark, result in zip(marks, await asyncio.gather(*(ask(who, mark) for mark in marks)), strict=True):
                message = f"{who} said {mark}"
                fails = mark.endswith("!")
                expected = None if fails else message
                assert result.data == {"caller": expected, "shapes": shapes, "again": expected}
                assert [error.message for error in result.errors or ()] == [message, message] * fails

    def live(number: int) -> None:
        barrier.wait()
        asyncio.run(talk(f"caller {number}"))

    before = execution.statistics()["executed"]
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(live, range(THREADS)))
    assert execution.statistics()["executed"] > before
    operation = plan_cache(shared).lookup(document, None)
    assert operation is not None
    assert list(operation.templates) == [execution.CompiledStrawberryExecutor]


@pytest.mark.usefixtures("small_limits")
def test_threads_share_few_templates() -> None:
    """An operation that is executed by many classes concurrently has few templates, and all get responses."""
    shared = schema()._schema
    document = parse("{ number(plus: 1) }")
    classes = [type(f"Own{number}", (execution.CompiledStrawberryExecutor,), {}) for number in range(30)]

    def answers(step: int) -> list[Any]:
        turns = [classes[turn * step % len(classes)] for turn in range(2_000)]
        results: list[Any] = [execution.execute(shared, document, executor_class=class_) for class_ in turns]
        return [result.data for result in results]

    with ThreadPoolExecutor(THREADS) as pool:
        for data in pool.map(answers, range(1, THREADS + 1)):
            assert data == [{"number": 2}] * 2_000
    operation = plan_cache(shared).lookup(document, None)
    assert operation is not None
    assert 1 <= len(operation.templates) <= MAX_TEMPLATES + THREADS
