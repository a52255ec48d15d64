"""`@oneOf`: inputs of which exactly one field is set. The API has none yet; segments and `liveStats` will."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import strawberry
from graphql import GraphQLInputObjectType, build_schema, validate_schema

import resolvers
from resolvers.compiled import CompiledOperations
from resolvers.fields import Public, query
from runtime import Runtime
from tests.client import ApiClient, ApiResponse
from tests.serving import served


@strawberry.input(one_of=True, description="What is shown: exactly one of these.")
class Scope:
    campaign_id: strawberry.ID | None = strawberry.field(description="A campaign. Null is refused.")
    list_id: strawberry.ID | None = strawberry.field(description="A list. Null is refused.")
    any_of: list["Scope"] | None = strawberry.field(description="Any of these. Null is refused.")


@strawberry.type
class Query(resolvers.Query):
    @query(Public())
    async def scoped(self, scope: Scope) -> str:
        """The value as text."""
        return only_field(scope)

    @query(Public())
    async def maybe_scoped(self, scope: Scope | None = None) -> str:
        """The same for an optional input."""
        return only_field(scope) if scope else "all"


def only_field(scope: Scope) -> str:
    """The only field that has a value."""
    if scope.any_of is not None:
        return f"any of {', '.join(only_field(each) for each in scope.any_of)}"
    return f"campaign {scope.campaign_id}" if scope.campaign_id is not None else f"list {scope.list_id}"


SCHEMA = resolvers.schema_of(Query, resolvers.Mutation, resolvers.Subscription, executor=CompiledOperations)
BY_VARIABLE = "query ($scope: Scope!) { scoped(scope: $scope) }"


@pytest.fixture(scope="module")
async def client(runtime: Runtime) -> AsyncIterator[ApiClient]:
    async with served(runtime, SCHEMA) as server:
        yield ApiClient(server.url)


def test_the_sdl_has_the_directive() -> None:
    """The directive is on the input, whose fields are nullable and have no default."""
    text = SCHEMA.as_str()
    assert "input Scope @oneOf {" in text
    parsed = build_schema(text)
    assert validate_schema(parsed) == []
    kind = parsed.type_map["Scope"]
    assert isinstance(kind, GraphQLInputObjectType)
    assert kind.is_one_of
    assert [str(field.type) for field in kind.fields.values()] == ["ID", "ID", "[Scope!]"]
    assert "@oneOf" not in resolvers.build_schema().as_str()


async def test_introspection_has_is_one_of(client: ApiClient) -> None:
    """`isOneOf` is true for the type, and for no other input."""
    answer = await client.execute(
        '{ a: __type(name: "Scope") { isOneOf } b: __type(name: "AudienceInput") { isOneOf } }'
    )
    assert answer == {"a": {"isOneOf": True}, "b": {"isOneOf": False}}


@pytest.mark.parametrize(
    ("scope", "text"),
    [
        ({"campaignId": "1"}, "campaign 1"),
        ({"listId": "2"}, "list 2"),
        ({"anyOf": [{"campaignId": "1"}, {"anyOf": [{"listId": "2"}]}]}, "any of campaign 1, any of list 2"),
    ],
)
async def test_exactly_one_is_accepted(client: ApiClient, scope: dict[str, Any], text: str) -> None:
    """In a variable and as a literal, several times, since a repeated document is compiled."""
    literal = (
        str(scope).replace("'campaignId'", "campaignId").replace("'listId'", "listId").replace("'anyOf'", "anyOf")
    )
    for _ in range(3):
        assert (await client.execute(BY_VARIABLE, {"scope": scope}))["scoped"] == text
        assert (await client.execute(f"{{ scoped(scope: {literal.replace(chr(39), chr(34))}) }}"))["scoped"] == text
    data = await client.execute("query ($id: ID!) { scoped(scope: {campaignId: $id}) }", {"id": "3"})
    assert data["scoped"] == "campaign 3"
    assert (await client.execute("{ maybeScoped }"))["maybeScoped"] == "all"


def refusal(reply: ApiResponse) -> str:
    """The message of the single error of a request that did not run."""
    assert (reply.status, reply.codes) == (400, ["BAD_USER_INPUT"])
    assert "data" not in reply.body
    return str(reply.body["errors"][0]["message"])


@pytest.mark.parametrize(
    "scope",
    [
        {},
        {"campaignId": "1", "listId": "2"},
        {"campaignId": None},
        {"campaignId": "1", "listId": None},
        {"anyOf": [{"campaignId": "1"}, {}]},
    ],
)
async def test_none_two_and_null_are_refused_in_a_variable(client: ApiClient, scope: dict[str, Any]) -> None:
    """Before anything runs, with the type or the field in the message."""
    message = refusal(await client.send(BY_VARIABLE, {"scope": scope}))
    assert "Scope" in message or "'campaignId' must be non-null" in message


@pytest.mark.parametrize(
    "scope", ["{}", '{campaignId: "1", listId: "2"}', "{campaignId: null}", '{campaignId: "1", listId: null}']
)
async def test_none_two_and_null_are_refused_as_a_literal(client: ApiClient, scope: str) -> None:
    """By validation, with one error for each mistake."""
    assert "Scope" in refusal(await client.send(f"{{ scoped(scope: {scope}) }}"))


async def test_a_nullable_variable_is_refused(client: ApiClient) -> None:
    """It could be null, and then no field would be set."""
    reply = await client.send("query ($id: ID) { scoped(scope: {campaignId: $id}) }", {"id": "1"})
    assert "must be non-nullable" in refusal(reply)
