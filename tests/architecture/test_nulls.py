"""What may be left out: its default is never null, and it says what an explicit null does."""

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
    """Every argument and every field of an input, by its place in the schema."""
    for kind in schema.type_map.values():
        if kind.name.startswith("__"):
            continue
        if isinstance(kind, GraphQLInputObjectType):
            found = [(f"{kind.name}.{name}", field) for name, field in kind.fields.items()]
        elif isinstance(kind, GraphQLObjectType | GraphQLInterfaceType):
            found = [
                (f"{kind.name}.{name}({argument}:)", given)
                for name, field in kind.fields.items()
                for argument, given in field.args.items()
            ]
        else:
            continue
        yield from ((place, given) for place, given in found if not (nullable and is_non_null_type(given.type)))


def test_no_default_is_null() -> None:
    """An omitted argument or input field and an explicit null are told apart, in the SDL as in what runs."""
    assert "= null" not in export()
    assert [place for place, given in values() if given.default_value is None] == []
    others = {place for place, given in values() if given.default_value is not Undefined}
    assert {"CampaignSort.direction", "UpsertContactsInput.onInvalid", "AudienceInput.all"} <= others


def test_whatever_may_be_null_says_what_null_does() -> None:
    """The description of each nullable argument and input field mentions null, or its type's that null is refused."""
    silent = [place for place, given in values(nullable=True) if "null" not in (given.description or "").lower()]
    kinds = {place: schema.type_map[place.partition(".")[0]].description or "" for place in silent}
    assert [place for place, description in kinds.items() if ALL_REFUSED not in description] == []
    assert "CampaignStatusFilter.eq" in silent
