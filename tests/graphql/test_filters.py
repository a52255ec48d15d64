"""Null and empty objects inside filters: refused, wherever they are, because they would match everything.

The filters are generated from the schema, so that a new field is always included.
"""

from typing import Any

import pytest
from graphql import GraphQLInputObjectType, GraphQLNonNull, get_named_type, is_list_type

from core.access.actor import Actor
from core.ids import encode_global_id
from runtime import Runtime
from schema.nulls import NOT_EMPTY
from tests import factories
from tests.client import ApiClient, ApiResponse
from tests.graphql.test_nulls import FILTERS, ROOT, WITHOUT_NULLS, schema


def filters_of(name: str, parent_names: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Any]]:
    """The path to each nullable field of a filter, and a filter in which only that field is null."""
    kind = schema.type_map[name]
    assert isinstance(kind, GraphQLInputObjectType)
    filters: list[tuple[tuple[str, ...], Any]] = []
    for field, definition in kind.fields.items():
        assert not isinstance(definition.type, GraphQLNonNull)
        filters.append(((field,), {field: None}))
        inner = get_named_type(definition.type)
        if isinstance(inner, GraphQLInputObjectType) and inner.name not in (name, *parent_names):
            filters += [
                ((field, *path), {field: inner_filter})
                for path, inner_filter in filters_of(inner.name, (*parent_names, name))
            ]
    return filters


def empties_of(name: str, parent_names: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], str, Any]]:
    """The path to each input inside a filter, its type, and a filter where it is empty; in lists, beside another."""
    kind = schema.type_map[name]
    assert isinstance(kind, GraphQLInputObjectType)
    filters: list[tuple[tuple[str, ...], str, Any]] = []
    for field, definition in kind.fields.items():
        inner = get_named_type(definition.type)
        if not isinstance(inner, GraphQLInputObjectType):
            continue
        inside = [] if inner.name in parent_names else empties_of(inner.name, (*parent_names, name))
        for path, type_, inner_filter in [((), inner.name, {}), *inside]:
            value = [{"status": {"in": []}}, inner_filter] if is_list_type(definition.type) else inner_filter
            filters.append(((field, *path), type_, {field: value}))
    return filters


async def ask(client: ApiClient, actor: Actor, runtime: Runtime, place: str, filter_input: object) -> ApiResponse:
    """The list at a place, filtered."""
    if place == "Campaign.deliveries":
        campaign = encode_global_id("Campaign", await factories.campaign(runtime, actor))
        query = """query ($id: ID!, $filter: DeliveryFilter) {
          campaign(id: $id) { deliveries(filter: $filter) { nodes { id } } }
        }"""
        return await client.send(query, {"id": campaign, "filter": filter_input})
    kind = get_named_type(ROOT[place].args["filter"].type).name
    return await client.send(
        f"query ($filter: {kind}) {{ {place}(filter: $filter) {{ nodes {{ id }} }} }}", {"filter": filter_input}
    )


@pytest.mark.parametrize(
    ("place", "name"),
    [("contacts", "ContactFilter"), ("campaigns", "CampaignFilter"), ("Campaign.deliveries", "DeliveryFilter")],
)
async def test_a_null_in_a_filter_is_refused(runtime: Runtime, api: ApiClient, place: str, name: str) -> None:
    """Anywhere in the filter; no filter, null for the whole filter, and an empty one select all rows."""
    actor = await factories.organization(runtime)
    client = api.as_(factories.token(runtime, actor))
    for path, filter_input in filters_of(name):
        reply = await ask(client, actor, runtime, place, filter_input)
        [error] = reply.body["errors"]
        assert error["extensions"]["reason"] == "REQUIRED", path
        assert error["extensions"]["field"] == ["filter", *path]
        assert error["message"] == f"`{path[-1]}` cannot be null."
    assert "errors" not in (await ask(client, actor, runtime, place, None)).body
    assert "errors" not in (await ask(client, actor, runtime, place, {})).body


@pytest.mark.parametrize(
    ("place", "name"),
    [("contacts", "ContactFilter"), ("campaigns", "CampaignFilter"), ("Campaign.deliveries", "DeliveryFilter")],
)
async def test_an_empty_input_in_a_filter_is_refused(runtime: Runtime, api: ApiClient, place: str, name: str) -> None:
    """Such as a comparison whose variable was omitted: it would match everything. The error names what to set."""
    actor = await factories.organization(runtime)
    client = api.as_(factories.token(runtime, actor))
    for path, type_, filter_input in empties_of(name):
        [error] = (await ask(client, actor, runtime, place, filter_input)).body["errors"]
        assert error["message"] == f"`{path[-1]}` has a filter without any field.", path
        assert (error["extensions"]["code"], error["extensions"]["reason"]) == ("BAD_USER_INPUT", "REQUIRED")
        assert error["extensions"]["field"] == ["filter", *path]
        kind = schema.type_map[type_]
        assert isinstance(kind, GraphQLInputObjectType)
        assert all(f"`{field}`" in error["extensions"]["suggestion"] for field in kind.fields)


async def test_an_omitted_variable_in_a_comparison_is_refused(runtime: Runtime, api: ApiClient) -> None:
    """GraphQL leaves the field out, so that nothing would be compared; alone in a filter it leaves an empty one."""
    client = api.as_(factories.token(runtime, await factories.organization(runtime)))
    query = "query ($is: CampaignStatus) { campaigns(filter: {status: {eq: $is}}) { nodes { id } } }"
    [error] = (await client.send(query)).body["errors"]
    assert (error["path"], error["extensions"]["field"]) == (["campaigns"], ["filter", "status"])
    assert error["extensions"]["suggestion"] == "Set at least one of `eq`, `in`, or leave it out."
    assert (await client.execute(query, {"is": "DRAFT"}))["campaigns"] == {"nodes": []}
    query = "query ($archived: Boolean) { campaigns(filter: {archived: $archived}) { nodes { id } } }"
    assert (await client.execute(query))["campaigns"] == {"nodes": []}


async def test_empty_lists_in_a_filter_are_conditions(runtime: Runtime, api: ApiClient) -> None:
    """All of none match everything, one of none nothing."""
    actor = await factories.organization(runtime)
    await factories.campaign(runtime, actor)
    client = api.as_(factories.token(runtime, actor))
    query = "query ($filter: CampaignFilter) { campaigns(filter: $filter) { nodes { name } } }"
    for filter_input, expected in (({"and": []}, 1), ({"or": []}, 0), ({"status": {"in": []}}, 0)):
        assert len((await client.execute(query, {"filter": filter_input}))["campaigns"]["nodes"]) == expected


def test_every_nullable_filter_field_is_tested() -> None:
    """The filters above contain all nullable fields of all filters; the description of each type covers null."""
    names = ("ContactFilter", "CampaignFilter", "DeliveryFilter")
    tested = {path[-1] for name in names for path, _ in filters_of(name)}
    assert tested == {place.partition(".")[2] for place in FILTERS}
    kinds = {place.partition(".")[0] for place in FILTERS}
    assert kinds <= WITHOUT_NULLS
    assert {type_ for name in names for _, type_, _ in empties_of(name)} == kinds - {"DeliveryFilter"}
    comparisons = {name for name in kinds if NOT_EMPTY in (schema.type_map[name].description or "")}
    assert comparisons == kinds - set(names)
