"""What docs/execution.md shows is what the compiler writes."""

import re
from pathlib import Path

import pytest
import strawberry
from graphql import parse

import execution
from execution.compiling import Plan
from execution.plans import plans_of

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


async def test_the_generated_code_is_the_documented_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The document in the docs gives the code in the docs."""
    monkeypatch.setattr(execution.limits, "sights", 1)
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
    (operation,) = plans_of(schema._schema).operations.values()
    (plan,) = operation.plans.values()
    assert isinstance(plan, Plan)
    assert code in plan.source


def test_every_reason_is_documented() -> None:
    """The reasons for leaving an operation to graphql-core stand in the docs."""
    room = Path(execution.__file__).parent
    names = ("compiling", "executing", "executors", "plans", "refusals")
    source = "".join((room / f"{name}.py").read_text(encoding="utf-8") for name in names)
    reasons = set(re.findall(r'(?:raise Refused\(|return |fall_back\()"([a-z_ ]+)"', source))
    assert {"introspection", "middleware", "budget", "first sight", "own executor class"} <= reasons
    assert [reason for reason in reasons if f"`{reason}`" not in DOCS] == []
