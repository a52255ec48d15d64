"""Optional arguments and input fields: no default is null, and the descriptions explain an explicit null."""

from collections.abc import Iterator

from graphql import (
    GraphQLArgument,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    Undefined,
    is_non_null_type,
)

import resolvers
from resolvers.sdl import export
from schema.nulls import ALL_REFUSED

schema = resolvers.build_schema()._schema


def values(*, nullable: bool = False) -> Iterator[tuple[str, GraphQLArgument | GraphQLInputField]]:
    """Every argument and every input field, with its location in the schema."""
    for kind in schema.type_map.values():
        if kind.name.startswith("__"):
            continue
        if isinstance(kind, GraphQLInputObjectType):
            members = [(f"{kind.name}.{name}", field) for name, field in kind.fields.items()]
        elif isinstance(kind, GraphQLObjectType | GraphQLInterfaceType):
            members = [
                (f"{kind.name}.{name}({argument}:)", value)
                for name, field in kind.fields.items()
                for argument, value in field.args.items()
            ]
        else:
            continue
        yield from (
            (location, value) for location, value in members if not (nullable and is_non_null_type(value.type))
        )


def test_no_default_is_null() -> None:
    """An omitted argument or input field differs from an explicit null, in the SDL and in the running schema."""
    assert "= null" not in export()
    assert [location for location, value in values() if value.default_value is None] == []
    others = {location for location, value in values() if value.default_value is not Undefined}
    assert {"CampaignSort.direction", "UpsertContactsInput.onInvalid", "AudienceInput.all"} <= others


def test_descriptions_explain_null() -> None:
    """The description of a nullable argument or input field, or of its input type, explains what null does."""
    without = [
        location for location, value in values(nullable=True) if "null" not in (value.description or "").lower()
    ]
    types = {location: schema.type_map[location.partition(".")[0]].description or "" for location in without}
    assert [location for location, description in types.items() if ALL_REFUSED not in description] == []
    assert "CampaignStatusFilter.eq" in without
