"""The nullable fields, and the meaning of null in each: no result, or an error."""

from collections.abc import Iterator

from graphql import FieldDefinitionNode, NonNullTypeNode, ObjectTypeDefinitionNode, parse

import resolvers
from resolvers.sdl import export

schema = resolvers.build_schema()._schema
DIRECTIVE = "directive @semanticNonNull(levels: [Int!]! = [0]) on FIELD_DEFINITION"
# Root fields whose null is a result: the object does not exist, or the caller is not authenticated.
LOOKUPS = {"campaign", "contact", "contactByEmail", "conversation", "list", "node", "template", "viewer"}
# Fields of objects that can fail on their own, because they require another permission.
OTHER_PERMISSION = {"Campaign.deliveries", "Audience.lists", "Audience.excludeLists", "Delivery.campaign"}


def fields() -> Iterator[tuple[str, str, FieldDefinitionNode]]:
    """Every field of every object type in the SDL, with the names of type and field."""
    for definition in parse(export()).definitions:
        if isinstance(definition, ObjectTypeDefinitionNode):
            yield from ((definition.name.value, field.name.value, field) for field in definition.fields or ())


def is_null_on_error(field: FieldDefinitionNode) -> bool:
    """Whether the field has the directive."""
    return any(each.name.value == "semanticNonNull" for each in field.directives or ())


def test_the_directive_is_declared_as_specified() -> None:
    """The SDL contains the exact text once, because the compilers of Relay and Apollo search for it."""
    assert export().count(DIRECTIVE) == 1
    assert [each.name for each in schema.directives].count("semanticNonNull") == 1


def test_root_fields_are_nullable() -> None:
    """Root fields of Query and Mutation are nullable, and null means an error except in `LOOKUPS`.

    Subscription fields are not nullable, because an operation has only one.
    """
    roots = {(kind, name): field for kind, name, field in fields() if kind in {"Query", "Mutation", "Subscription"}}
    assert len(roots) > 40
    for (kind, name), field in roots.items():
        assert isinstance(field.type, NonNullTypeNode) is (kind == "Subscription"), name
        assert is_null_on_error(field) is (kind != "Subscription" and name not in LOOKUPS), name


def test_null_on_error_is_for_fields_of_another_permission() -> None:
    """Only fields whose objects require another permission are null on error, and never with `!`."""
    null_fields = {f"{kind}.{name}": field for kind, name, field in fields() if is_null_on_error(field)}
    assert not any(isinstance(field.type, NonNullTypeNode) for field in null_fields.values())
    other = {location for location in null_fields if location.partition(".")[0] not in {"Query", "Mutation"}}
    assert other == OTHER_PERMISSION


def test_payloads_are_null_on_refusal() -> None:
    """A refusal is not an error, so no field of a payload has the directive."""
    assert not [
        f"{kind}.{name}" for kind, name, field in fields() if kind.endswith("Payload") and is_null_on_error(field)
    ]
