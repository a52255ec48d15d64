"""Rules for every type and field of the API."""

import re
from collections.abc import Iterator
from dataclasses import fields
from enum import Enum

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
from resolvers.fields import Requires, access_rule_of, declared_cost, definition_of
from resolvers.nodes import NODE_TYPES
from resolvers.permissions import access_rules_of, root_fields
from schema.enums import described_enum
from schema.fields import COUNTING_COST

schema = resolvers.build_schema()._schema
OURS = {
    name: kind
    for name, kind in schema.type_map.items()
    if not name.startswith("__") and name not in specified_scalar_types
}


# Words that a reader of the API would have to ask about.
UNPLAIN = re.compile(
    r"""\b(?:
    accident(?:al|ally)? | bell | birth | born | crowd | dear(?:er|est)? | desk | die[sd]? | doorbell | errands? |
    forg[eo]t\w* | foreseen | gone | goodbye | hang\ up | hear[sd]? | house | judg\w+ | laps\w+ |
    look(?:ed|s|ing)?\ at | look-ups? | patience | remember\w* | ring | says? | seat\w* | stir\w* | strangers? |
    takes?\ (?:nobody|the\ floor) | tells? | tend(?:ed|s|ing)? | told | verdicts? | vigil | wakes? | woken |
    what\ became\ of | whom\ it | in\ words | set\ aside | left\ out,? | workshop | organisations? | nobody | somebody
    )\b""",
    re.VERBOSE | re.IGNORECASE,
)
MAX_PARAGRAPH = 600
"""In characters."""


class Size(Enum):
    SMALL = "small"
    LARGE = "large"


def described_things() -> Iterator[tuple[str, str | None]]:
    """Every type, field, argument, input field and enum value with its description."""
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
        elif isinstance(kind, GraphQLEnumType):
            for value_name, value in kind.values.items():
                yield f"{name}.{value_name}", value.description


@pytest.mark.parametrize("root", ROOTS)
def test_every_root_field_has_a_rule(root: type) -> None:
    """Each field of the roots declares exactly one rule: `Requires(...)` or `Public()`."""
    rules = access_rules_of(root)
    assert rules
    assert {name: matches for name, matches in rules.items() if len(matches) != 1} == {}


def test_public_fields_are_listed() -> None:
    """A new field without authentication must be added here as well."""
    public = {field.name for field in root_fields() if field.permission is None}
    assert public == {"viewer", "rateLimit", "signUp", "logIn", "refreshSession", "logOut", "renewConnection"}


def test_everything_is_described() -> None:
    """Types, fields, arguments, input fields and enum values have descriptions, for GraphiQL and code generators."""
    assert [name for name, text in described_things() if not (text or "").strip()] == []


def test_descriptions_are_sentences() -> None:
    """Each description begins with a capital letter, or with a code in backticks, and ends with a full stop."""
    incorrect = [
        f"{name}: {text}"
        for name, text in described_things()
        if text and not re.match(r"(?s)(?:[A-Z0-9]|`[A-Z_]+`).*\.$", text)
    ]
    assert incorrect == []


def test_sentences_of_descriptions_are_separated() -> None:
    """A full stop is followed by a space or a line break, and no description has two consecutive spaces."""
    incorrect = [
        name for name, text in described_things() if text and re.search(r"[.;:][A-Z][a-z]|[^ ]  +[^ ]", text)
    ]
    assert incorrect == []


def test_descriptions_are_in_plain_words() -> None:
    """No description has a word that a mail or GraphQL engineer would have to ask about."""
    unplain = [(name, UNPLAIN.findall(text)) for name, text in described_things() if text and UNPLAIN.search(text)]
    assert unplain == []


def test_long_descriptions_have_paragraphs() -> None:
    """No paragraph of a description has more than `MAX_PARAGRAPH` characters."""
    long = [
        (name, len(paragraph))
        for name, text in described_things()
        for paragraph in (text or "").split("\n\n")
        if len(paragraph) > MAX_PARAGRAPH
    ]
    assert long == []


def test_enum_descriptions_must_be_complete() -> None:
    """An enum of models or core is not accepted with a missing description, or with one that has no value."""
    published = described_enum(
        Size, name="Size", description="A size.", values={"SMALL": "Small.", "LARGE": "Large."}
    )
    values = vars(published)["__strawberry_definition__"].values
    assert {value.name: value.description for value in values} == {"SMALL": "Small.", "LARGE": "Large."}
    with pytest.raises(ValueError, match="not every value of Size is described"):
        described_enum(Size, name="Size", description="A size.", values={"SMALL": "Small."})
    with pytest.raises(ValueError, match="not every value of Size is described"):
        described_enum(Size, name="Size", description="A size.", values={"SMALL": "S.", "LARGE": "L.", "TINY": "T."})


def test_root_fields_document_their_permission_and_cost() -> None:
    """The description of a root field contains the permission that it requires, and the points that it adds."""
    for root in (schema.query_type, schema.mutation_type, schema.subscription_type):
        assert root is not None
        for name, field in root.fields.items():
            rule, cost, text = access_rule_of(field), declared_cost(field), field.description or ""
            needed = [f"Requires the permission `{rule.permission}`."] if isinstance(rule, Requires) else []
            charged = [f"Adds {cost} points to the cost of the operation."] if cost else []
            assert re.findall(r"Requires the permission `\S+`\.|Adds \d+ points[^.]*\.", text)[-2:] == [
                *needed,
                *charged,
            ], name


def test_mutations_have_one_input_and_a_payload() -> None:
    """The only argument of each mutation is `input:`, and its payload has `userErrors`."""
    mutation = schema.mutation_type
    assert mutation is not None
    for name, field in mutation.fields.items():
        assert list(field.args) == ["input"], name
        payload = schema.type_map[f"{name[0].upper()}{name[1:]}Payload"]
        assert isinstance(payload, GraphQLObjectType)
        assert str(payload.fields["userErrors"].type) == "[UserError!]!"


def test_payloads_of_refused_mutations() -> None:
    """Every field of a refused mutation's payload except `userErrors` is null, false, empty or 0."""
    assert schema.mutation_type is not None
    for field in schema.mutation_type.fields.values():
        payload = get_named_type(field.type).extensions["strawberry-definition"].origin
        refusal = payload(user_errors=["refusal"])
        other_fields = {
            each.name: getattr(refusal, each.name) for each in fields(payload) if each.name != "user_errors"
        }
        assert other_fields
        assert not any(other_fields.values()), payload


def test_names_follow_the_conventions() -> None:
    """Fields are camelCase, enum values are UPPER_CASE, and there are only three custom scalars."""
    for name, kind in OURS.items():
        if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType | GraphQLInputObjectType):
            assert all("_" not in field and field[0].islower() for field in kind.fields), name
        elif isinstance(kind, GraphQLEnumType):
            assert all(value == value.upper() for value in kind.values), name
        elif isinstance(kind, GraphQLScalarType):
            assert name in {"DateTime", "EmailAddress", "JSON"}


def test_types_with_an_id_are_nodes() -> None:
    """Normalized caches identify objects by their id, and `node(id)` returns each of them."""
    object_types = [kind for kind in OURS.values() if isinstance(kind, GraphQLObjectType)]
    nodes = {kind.name for kind in object_types if "Node" in [each.name for each in kind.interfaces]}
    assert {kind.name for kind in object_types if "id" in kind.fields} == nodes
    assert NODE_TYPES.keys() == nodes


def test_counted_numbers_have_a_cost() -> None:
    """Each number that a method computes, and each root field that scans a table, declares a cost."""
    costed, free = set(), []
    for kind in OURS.values():
        for name, field in getattr(kind, "fields", {}).items():
            definition = definition_of(field)
            if getattr(definition, "base_resolver", None) is None or get_named_type(field.type) is not GraphQLInt:
                continue
            costed.add(f"{kind.name}.{name}")
            free += [] if declared_cost(field) >= COUNTING_COST else [f"{kind.name}.{name}"]
    assert free == []
    assert {"List.contactCount", "Audience.count", "ContactConnection.totalCount"} <= costed
    assert schema.query_type is not None
    scanning = {name for name, field in schema.query_type.fields.items() if declared_cost(field) >= COUNTING_COST}
    assert scanning == {"tags", "validateCampaign"}


def test_ids_have_their_objects() -> None:
    """A type with the id of another object has a field with that object too, so that a cache can follow it."""
    incorrect = [
        f"{kind.name}.{name}"
        for kind in OURS.values()
        if isinstance(kind, GraphQLObjectType)
        for name, field in kind.fields.items()
        if get_named_type(field.type).name == "ID" and name != "id"
        if lower_first(name.removesuffix("Id").removeprefix("deleted")) not in kind.fields
    ]
    assert incorrect == []


def lower_first(name: str) -> str:
    """The name with a lower-case first letter."""
    return name[:1].lower() + name[1:]
