"""What every field of the API must have."""

from collections.abc import Iterator
from dataclasses import fields

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInt,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLScalarType,
    get_named_type,
    specified_scalar_types,
)

import resolvers
from resolvers import ROOTS
from resolvers.fields import declared_cost, definition_of
from resolvers.nodes import NODE_TYPES
from resolvers.permissions import root_fields, rules_of
from schema.fields import COUNTING_COST

schema = resolvers.build_schema()._schema
OURS = {
    name: kind
    for name, kind in schema.type_map.items()
    if not name.startswith("__") and name not in specified_scalar_types
}


def described_things() -> Iterator[tuple[str, str | None]]:
    """Every type, field, argument and input field with its description."""
    for name, kind in OURS.items():
        yield name, kind.description
        if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType):
            for field_name, field in kind.fields.items():
                yield f"{name}.{field_name}", field.description
                for argument_name, argument in field.args.items():
                    yield f"{name}.{field_name}({argument_name}:)", argument.description
        elif isinstance(kind, GraphQLInputObjectType):
            for field_name, input_field in kind.fields.items():
                yield f"{name}.{field_name}", input_field.description


@pytest.mark.parametrize("root", ROOTS)
def test_every_root_field_says_who_may_use_it(root: type) -> None:
    """Each field of the roots declares exactly one rule: `Requires(...)` or `Public()`."""
    rules = rules_of(root)
    assert rules
    assert {name: found for name, found in rules.items() if len(found) != 1} == {}


def test_public_fields_are_few_and_known() -> None:
    """Whoever adds a field that strangers may use has to add it here, too."""
    public = {field.name for field in root_fields() if field.permission is None}
    assert public == {"viewer", "rateLimit", "signUp", "logIn", "refreshSession", "logOut", "renewConnection"}


def test_everything_is_described() -> None:
    """Types, fields, arguments and input fields all say what they are, for GraphiQL and for code generators."""
    assert [name for name, text in described_things() if not (text or "").strip()] == []


def test_mutations_have_one_input_and_a_payload() -> None:
    """Each mutation takes `input:` alone and gives a payload with `userErrors`."""
    mutation = schema.mutation_type
    assert mutation is not None
    for name, field in mutation.fields.items():
        assert list(field.args) == ["input"], name
        payload = schema.type_map[f"{name[0].upper()}{name[1:]}Payload"]
        assert isinstance(payload, GraphQLObjectType)
        assert str(payload.fields["userErrors"].type) == "[UserError!]!"


def test_a_refusal_says_that_nothing_was_done() -> None:
    """Beside its `userErrors` a refused mutation's payload is null, false, empty or 0."""
    assert schema.mutation_type is not None
    for field in schema.mutation_type.fields.values():
        payload = get_named_type(field.type).extensions["strawberry-definition"].origin
        refused = payload(user_errors=["refusal"])
        done = {each.name: getattr(refused, each.name) for each in fields(payload) if each.name != "user_errors"}
        assert done
        assert not any(done.values()), payload


def test_names_follow_the_conventions() -> None:
    """Fields are camelCase, enum values are UPPER_CASE, and every kind of type is one that we know."""
    for name, kind in OURS.items():
        if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType | GraphQLInputObjectType):
            assert all("_" not in field and field[0].islower() for field in kind.fields), name
        elif isinstance(kind, GraphQLEnumType):
            assert all(value == value.upper() for value in kind.values), name
        elif isinstance(kind, GraphQLScalarType):
            assert name in {"DateTime", "EmailAddress", "JSON"}


def test_what_has_an_id_is_a_node() -> None:
    """Normalised caches know objects by their id, and `node(id)` gives each of them again."""
    known = [kind for kind in OURS.values() if isinstance(kind, GraphQLObjectType)]
    nodes = {kind.name for kind in known if "Node" in [each.name for each in kind.interfaces]}
    assert {kind.name for kind in known if "id" in kind.fields} == nodes
    assert NODE_TYPES.keys() == nodes


def test_a_number_that_is_counted_when_selected_costs_points() -> None:
    """Each number that a method works out, and each root field that scans a table, declares a cost of its own."""
    counted, free = set(), []
    for kind in OURS.values():
        for name, field in getattr(kind, "fields", {}).items():
            definition = definition_of(field)
            if getattr(definition, "base_resolver", None) is None or get_named_type(field.type) is not GraphQLInt:
                continue
            counted.add(f"{kind.name}.{name}")
            free += [] if declared_cost(field) >= COUNTING_COST else [f"{kind.name}.{name}"]
    assert free == []
    assert {"List.contactCount", "Audience.count", "ContactConnection.totalCount"} <= counted
    assert schema.query_type is not None
    scanning = {name for name, field in schema.query_type.fields.items() if declared_cost(field) >= COUNTING_COST}
    assert scanning == {"tags", "validateCampaign"}


def test_no_type_gives_an_id_without_its_object() -> None:
    """Beside each id of another object stands the object, so that a cache has more than a text to follow."""
    lonely = [
        f"{kind.name}.{name}"
        for kind in OURS.values()
        if isinstance(kind, GraphQLObjectType)
        for name, field in kind.fields.items()
        if get_named_type(field.type).name == "ID" and name != "id"
        if decapitalised(name.removesuffix("Id").removeprefix("deleted")) not in kind.fields
    ]
    assert lonely == []


def decapitalised(name: str) -> str:
    """A name that begins with a small letter."""
    return name[:1].lower() + name[1:]
