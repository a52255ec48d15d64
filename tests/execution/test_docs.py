"""The code in docs/execution.md equals the output of the compiler."""

import re
from enum import Enum
from pathlib import Path
from typing import NamedTuple

import pytest
import strawberry
from graphql import parse
from strawberry.schema.config import StrawberryConfig

import execution
from execution import Column, rows
from execution.compiling import Plan
from execution.plans import plan_cache

DOCS = (Path(__file__).parents[2] / "docs" / "execution.md").read_text(encoding="utf-8")


@strawberry.type
class Contact:
    email: str
    first_name: str | None

    @strawberry.field
    async def tags(self) -> list[str]:
        return ["new"]


@strawberry.type
class Query:
    @strawberry.field
    async def contacts(self, first: int = 25) -> list[Contact]:
        return [Contact(email="ada@example.com", first_name=None)][:first]


@pytest.mark.usefixtures("eager")
async def test_the_generated_code_is_the_documented_one() -> None:
    """The document on the page gives the code on the page."""
    (text,) = re.findall(r"```graphql\n(.*?)```", DOCS, re.DOTALL)
    (code,) = re.findall(r"```python\n(def o1.*?)```", DOCS, re.DOTALL)
    schema = strawberry.Schema(query=Query)
    answer = await execution.execute(  # type: ignore[misc]
        schema._schema,
        parse(text),
        variable_values={"tags": True},
        executor_class=schema.execution_context_class,
    )
    assert answer.data == {
        "contacts": [{"__typename": "Contact", "email": "ada@example.com", "firstName": None, "tags": ["new"]}]
    }
    (operation,) = plan_cache(schema._schema).operations.values()
    (plan,) = operation.plans.values()
    assert isinstance(plan, Plan)
    assert code in plan.source


class PersonRow(NamedTuple):
    id: int
    status: str


@strawberry.enum
class Status(Enum):
    SUBSCRIBED = "subscribed"


@strawberry.type(name="Contact")
class Person:
    id: strawberry.ID
    status: Status


rows.register(Person, PersonRow, id=Column("id", str), status=Column("status", Status))


@strawberry.type
class People:
    @strawberry.field
    def contacts(self) -> list[Person]:
        return [PersonRow(1, "subscribed")]  # type: ignore[list-item]


@pytest.mark.usefixtures("eager")
def test_the_bulk_function_is_the_documented_one() -> None:
    """The selection on the page gives the function on the page."""
    (text,) = re.findall(r"For `({ contacts .*?)` it is", DOCS)
    (code,) = re.findall(r"```python\n(def l\d+_bulk.*?)```", DOCS, re.DOTALL)
    schema = strawberry.Schema(query=People, config=StrawberryConfig(default_resolver=rows.read))._schema
    answer = execution.execute(schema, parse(text))
    assert answer.data == {"contacts": [{"id": "1", "status": "SUBSCRIBED"}]}  # type: ignore[union-attr]
    (operation,) = plan_cache(schema).operations.values()
    (plan,) = operation.plans.values()
    assert isinstance(plan, Plan)
    assert code in plan.source, plan.source


def test_every_reason_is_documented() -> None:
    """The reasons for a fallback to graphql-core are on the page."""
    package = Path(execution.__file__).parent
    names = ("compiling", "executing", "executors", "plans", "eligibility")
    source = "".join((package / f"{name}.py").read_text(encoding="utf-8") for name in names)
    reasons = set(re.findall(r'(?:raise NotCompilable\(|return |record_fallback\()"([a-z_ ]+)"', source))
    assert {
        "incremental delivery",
        "middleware",
        "compile time limit",
        "first use",
        "custom executor class",
    } <= reasons
    assert [reason for reason in reasons if f"`{reason}`" not in DOCS] == []
