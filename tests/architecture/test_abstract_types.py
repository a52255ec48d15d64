"""Unions and interfaces: a client can select the common fields of two types without an alias."""

from itertools import combinations

import pytest
from graphql import GraphQLField, GraphQLSchema, build_schema, is_abstract_type

import resolvers

schema = resolvers.build_schema()._schema
ABSTRACT = sorted(name for name, kind in schema.type_map.items() if is_abstract_type(kind) and name[:2] != "__")
# All types with an id are Nodes: to select these fields of several types through `node` or `nodes`, use an alias.
KNOWN = {
    "Node": {
        "Campaign.status and Contact.status",
        "Campaign.status and MayaMessage.status",
        "Contact.status and MayaMessage.status",
        "User.role and MayaMessage.role",
    }
}


def signature(field: GraphQLField) -> tuple[str, dict[str, str]]:
    """The type and the arguments, which must be equal for selections of two types to be merged."""
    arguments = {name: f"{value.type} = {value.default_value}" for name, value in field.args.items()}
    return str(field.type), arguments


def conflicts(of: GraphQLSchema, name: str) -> set[str]:
    """Fields with the same name in two of the types that differ in type or arguments."""
    kind = of.type_map[name]
    assert is_abstract_type(kind)
    return {
        f"{one.name}.{field} and {other.name}.{field}"
        for one, other in combinations(of.get_possible_types(kind), 2)
        for field in one.fields.keys() & other.fields.keys()
        if signature(one.fields[field]) != signature(other.fields[field])
    }


@pytest.mark.parametrize("name", ABSTRACT)
def test_types_do_not_conflict(name: str) -> None:
    """No two types of a union or interface have conflicting fields, except those listed."""
    assert conflicts(schema, name) == KNOWN.get(name, set())


def test_conflicts_are_found() -> None:
    """A different type, nullability or argument is reported, in a union and in an interface."""
    types = """
      interface Thing { id: ID! }
      type A implements Thing { id: ID! same(n: Int = 1): Int kind: String maybe: Int list(first: Int): Int }
      type B implements Thing { id: ID! same(n: Int = 1): Int kind: Int maybe: Int! list: Int }
      union Any = A | B
      type Query { any: Any thing: Thing }
    """
    expected = {"A.kind and B.kind", "A.maybe and B.maybe", "A.list and B.list"}
    assert conflicts(build_schema(types), "Any") == conflicts(build_schema(types), "Thing") == expected
