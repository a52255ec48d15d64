"""The product's queries on a real database have the same responses and statements compiled and by graphql-core."""

from random import Random
from typing import Any, cast

import pytest
from graphql import GraphQLObjectType, is_introspection_type, is_object_type, parse

from core.database import scopes
from core.database.scopes import MAX_CONCURRENT_READS
from core.ids import encode_global_id
from tests.execution.company import SENDING, Company
from tests.execution.differential import MARKS
from tests.execution.product import (
    BY_CORE,
    CASES,
    COMPILED,
    CORE,
    GeneratedOperation,
    generate_operation,
    run_and_compare,
    run_operation,
)
from tests.properties import examples

pytestmark = MARKS


async def compare(company: Company, random: Random) -> None:
    """Generate a query, run it both ways, compare; and once as in production, with concurrent reads."""
    operation = generate_operation(company, random, "query", size=25)
    await run_operation(
        company, BY_CORE, operation
    )  # columns that are selected for the first time are read among all others
    expected = await run_and_compare(run_operation, company, operation)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scopes, "MAX_CONCURRENT_READS", MAX_CONCURRENT_READS)
        concurrent = await run_operation(company, COMPILED, operation)
    assert concurrent.story[0] == expected.story[0], operation


@examples(long=2_000, shrink=False)
@CASES
async def test_queries_have_the_same_responses(company: Company, random: Random) -> None:
    """For any query."""
    await compare(company, random)


WITH_ROWS = {("Campaign", "deliveries"): SENDING, ("Contact", "events"): "ada", ("Conversation", "messages"): "ended"}
"""The fields of objects that take arguments, each with an object of the company that has several rows there."""


def test_every_field_of_an_object_that_takes_arguments_has_rows() -> None:
    """The fields of the schema are those of the table below."""
    roots = {CORE.query_type, CORE.mutation_type, CORE.subscription_type}
    objects = [kind for kind in CORE.type_map.values() if is_object_type(kind) and not is_introspection_type(kind)]
    fields = [(kind, name, field) for kind in objects if kind not in roots for name, field in kind.fields.items()]
    assert {(kind.name, name) for kind, name, field in fields if field.args} == {*WITH_ROWS}


async def pages(company: Company, kind: str, name: str, arguments: list[str]) -> list[Any]:
    """The values of an object's field for several arguments, all requested in one operation."""
    object_id = encode_global_id(kind, company.ids[kind][WITH_ROWS[kind, name]])
    selection = "{ totalCount nodes { id } pageInfo { endCursor hasNextPage hasPreviousPage } }"
    fields = " ".join(f"x{number}: {name}{argument} {selection}" for number, argument in enumerate(arguments))
    text = f'{{ node(id: "{object_id}") {{ ... on {kind} {{ {fields} }} }} }}'
    operation = GeneratedOperation(kind="query", text=text, document=parse(text), variables={}, actor=company.owner)
    (answer,) = (await run_and_compare(run_operation, company, operation)).results
    assert (answer.errors, answer.data is None) == (None, False)
    return list(answer.data["node"].values()) if answer.data else []


@pytest.mark.parametrize(("kind", "name"), WITH_ROWS)
async def test_a_field_requested_twice_uses_the_arguments_of_each(company: Company, kind: str, name: str) -> None:
    """Under several aliases in one operation: each has the value that it has alone."""
    (first,) = await pages(company, kind, name, ["(first: 1)"])
    cursor = first["pageInfo"]["endCursor"]
    values = {"first": "1", "last": "1", "filter": "{state: {eq: FAILED}}"}
    values |= dict.fromkeys(("after", "before"), f'"{cursor}"')
    definitions = cast("GraphQLObjectType", CORE.type_map[kind]).fields[name].args
    arguments = ["", *(f"({argument}: {values[argument]})" for argument in definitions)]
    alone = [page for one_argument in arguments for page in await pages(company, kind, name, [one_argument])]
    assert all(page not in alone[:number] for number, page in enumerate(alone))
    assert await pages(company, kind, name, arguments) == alone
