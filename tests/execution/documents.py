"""Valid documents and variables for any schema, drawn by Hypothesis."""

from dataclasses import dataclass, field
from random import Random
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    SchemaMetaFieldDef,
    TypeMetaFieldDef,
    get_named_type,
    get_nullable_type,
    is_abstract_type,
    is_composite_type,
    is_required_argument,
)
from graphql.type import GraphQLInputType, GraphQLNamedType

LITERALS: dict[str, list[tuple[str, Any]]] = {
    "Int": [("1", 1), ("7", 7), ("-3", -3), ("0", 0)],
    "Float": [("1.5", 1.5), ("2", 2), ("-0.25", -0.25)],
    "String": [('"text"', "text"), ('""', ""), ('"snow ☃"', "snow ☃")],
    "ID": [('"a1"', "a1"), ("5", 5)],
    "Boolean": [("true", True), ("false", False)],
    "__type.name": [(f'"{name}"', name) for name in ("Query", "Mutation", "ID", "__Type", "__TypeKind", "Nobody")],
}
META = {"__schema": SchemaMetaFieldDef, "__type": TypeMetaFieldDef}
DEEP = frozenset({"fields", "inputFields", "interfaces", "possibleTypes"})
"""Fields of a `__Type` that may not be nested three times."""


@dataclass
class Draft:
    """A document in the making."""

    schema: GraphQLSchema
    random: Random
    left: int
    literals: dict[str, list[tuple[str, Any]]]
    without: frozenset[str] = frozenset()
    always: dict[str, str] = field(default_factory=dict)
    each: int = 0
    variables: dict[str, tuple[str, Any]] = field(default_factory=dict)
    fragments: dict[str, str] = field(default_factory=dict)
    arguments: dict[tuple[str, str, int], str] = field(default_factory=dict)
    shapes: dict[str, str] = field(default_factory=dict)

    def chance(self, of: float) -> bool:
        """Whether something of that likelihood happens."""
        return self.random.random() < of


def document(
    schema: GraphQLSchema,
    random: Random,
    kind: str,
    *,
    size: int = 30,
    literals: dict[str, list[tuple[str, Any]]] | None = None,
    without: frozenset[str] = frozenset(),
    always: dict[str, str] | None = None,
    each: int = 0,
) -> tuple[str, dict[str, Any]]:
    """An operation of the kind (query, mutation or subscription) as text, and variables for it.

    `literals` are by type, by argument or input field (`email`), or by its place (`LogInInput.email`, `contact.id`).
    `without` are fields never selected, `always` those selected wherever they are, each with its own selections.
    `size` is shared by the operation, unless there is an `each` for each of its root fields.
    """
    draft = Draft(schema, random, size, LITERALS | (literals or {}), without, always or {}, each)
    root = {"query": schema.query_type, "mutation": schema.mutation_type, "subscription": schema.subscription_type}[
        kind
    ]
    assert root is not None
    body = selection_set(draft, root, 0, single=kind == "subscription")
    declared = ", ".join(f"${name}: {declaration}" for name, (declaration, _) in draft.variables.items())
    head = f"{kind} Drawn({declared})" if declared else f"{kind} Drawn"
    text = "\n".join([f"{head} {body}", *draft.fragments.values()])
    return text, {name: value for name, (_, value) in draft.variables.items() if value is not Ellipsis}


def selection_set(draft: Draft, type_: GraphQLNamedType, depth: int, *, single: bool = False) -> str:
    """The selections on a composite type."""
    if single:
        return "{ " + a_field(draft, type_, depth, plain=True) + " }"
    parts = [selection(draft, type_, depth) for _ in range(draft.random.randint(1, 6))]
    fields = getattr(type_, "fields", {})
    parts += [f"{name} {body}" for name, body in draft.always.items() if name in fields]
    return "{ " + " ".join(parts) + " }"


def selection(draft: Draft, type_: GraphQLNamedType, depth: int) -> str:
    """A field, or a fragment on a type that fits."""
    draft.left = draft.each if depth == 0 and draft.each else draft.left - 1
    if depth < 5 and draft.left > 0 and draft.chance(0.15):
        return a_fragment(draft, type_, depth)
    return a_field(draft, type_, depth)


def a_fragment(draft: Draft, type_: GraphQLNamedType, depth: int) -> str:
    """An inline fragment, or the spread of a named one."""
    condition = draft.random.choice(fitting(draft.schema, type_))
    if draft.chance(0.5) or type_.name.startswith("__"):
        on = f" on {condition.name}" if condition is not type_ or draft.chance(0.5) else ""
        return f"...{on}{directives(draft)} {selection_set(draft, condition, depth + 1)}"
    known = [name for name in draft.fragments if name.endswith(f"On{condition.name}")]
    if known and draft.chance(0.5):
        return f"...{draft.random.choice(known)}{directives(draft)}"
    body = selection_set(draft, condition, depth + 1)
    name = f"F{len(draft.fragments)}On{condition.name}"
    draft.fragments[name] = f"fragment {name} on {condition.name} {body}"
    return f"...{name}{directives(draft)}"


def fitting(schema: GraphQLSchema, type_: GraphQLNamedType) -> list[GraphQLNamedType]:
    """The types that a fragment in that place may be on."""
    if is_abstract_type(type_):
        return [type_, *schema.get_possible_types(type_)]
    assert isinstance(type_, GraphQLObjectType)
    return [type_, *type_.interfaces]


def directives(draft: Draft) -> str:
    """Nothing, or `@skip` and `@include`, of literals or variables."""
    if not draft.chance(0.2):
        return ""
    name = draft.random.choice(["skip", "include"])
    literal = draft.random.choice(["true", "false"])
    if draft.chance(0.5):
        return f" @{name}(if: {literal})"
    variable = f"if{draft.random.randint(0, 2)}"
    if variable not in draft.variables:
        choices = [("Boolean!", draft.chance(0.5)), (f"Boolean! = {literal}", Ellipsis)]
        draft.variables[variable] = draft.random.choice(choices)
    return f" @{name}(if: ${variable})"


def a_field(draft: Draft, type_: GraphQLNamedType, depth: int, *, plain: bool = False) -> str:
    """A field with arguments and selections."""
    if isinstance(type_, GraphQLUnionType) or (draft.chance(0.1) and not plain):
        return "__typename" + ("" if plain else directives(draft))
    assert isinstance(type_, GraphQLObjectType | GraphQLInterfaceType)
    asked = META if type_ is draft.schema.query_type and draft.left > 0 and draft.chance(0.04) else type_.fields
    without = draft.without | DEEP if type_.name == "__Type" and depth > 2 else draft.without
    names = [name for name in asked if name not in without]
    if draft.left <= 0 or depth > 5:
        leaves = [name for name in names if not is_composite_type(get_named_type(asked[name].type))]
        if not leaves:
            return "__typename"
        names = leaves
    name = draft.random.choice(names)
    definition = asked[name]
    number = draft.random.randint(0, 2)
    shown = response_name(draft, f"{name}_{number}" if number else name, type_, definition)
    alias = "" if shown == name else f"{shown}: "
    given = arguments(draft, type_.name, name, number, definition)
    below = get_named_type(definition.type)
    body = f" {selection_set(draft, below, depth + 1)}" if is_composite_type(below) else ""
    return f"{alias}{name}{given}{'' if plain else directives(draft)}{body}"


def response_name(draft: Draft, wanted: str, type_: GraphQLNamedType, definition: GraphQLField) -> str:
    """The wanted name, or one with the type's in it where the wanted one stands for another type of value already.

    Fields of one response name must be of one type wherever fragments may bring them together, even on types that
    never meet in a value (the specification's FieldsInSetCanMerge).
    """
    shape = str(definition.type)
    if draft.shapes.setdefault(wanted, shape) == shape:
        return wanted
    return f"{type_.name}_{wanted}"


def arguments(draft: Draft, type_name: str, name: str, number: int, definition: GraphQLField) -> str:
    """The arguments; the same for the same response name, so that fields can be merged."""
    key = (type_name if definition.args else "", name, number)
    if key not in draft.arguments:
        given = [
            f"{argument}: {value(draft, definition_.type, f'{name}.{argument}')}"
            for argument, definition_ in definition.args.items()
            if is_required_argument(definition_) or draft.chance(0.6)
        ]
        draft.arguments[key] = f"({', '.join(given)})" if given else ""
    return draft.arguments[key]


def value(draft: Draft, type_: GraphQLInputType, place: str, *, variables: float = 0.4) -> str:
    """A literal, that may have variables in it, or a variable."""
    if not draft.chance(variables):
        return literal(draft, type_, place, inline=True)[0]
    text, plain = literal(draft, type_, place)
    name = f"v{len(draft.variables)}"
    how = draft.random.randint(0, 2)
    if how == 0 and not isinstance(type_, GraphQLNonNull):
        draft.variables[name] = (str(type_), Ellipsis)
    elif how == 1:
        draft.variables[name] = (f"{type_} = {text}", Ellipsis)
    else:
        draft.variables[name] = (str(type_), plain)
    return f"${name}"


def part(draft: Draft, type_: GraphQLInputType, place: str, *, inline: bool) -> tuple[str, Any]:
    """An item of a list or a field of an input; in the text of the operation it may be a variable."""
    if inline:
        return value(draft, type_, place, variables=0.15), None
    return literal(draft, type_, place)


def literal(draft: Draft, type_: Any, place: str, *, inline: bool = False) -> tuple[str, Any]:
    """A literal as text and as JSON; without the latter when it stands in the text of the operation itself."""
    if isinstance(type_, GraphQLNonNull):
        return present(draft, type_.of_type, place, inline=inline)
    return ("null", None) if draft.chance(0.1) else present(draft, type_, place, inline=inline)


def present(draft: Draft, type_: Any, place: str, *, inline: bool) -> tuple[str, Any]:
    """A literal that is not null."""
    if isinstance(type_, GraphQLList):
        if draft.chance(0.1):
            return present(draft, get_nullable_type(type_.of_type), place, inline=inline)  # stands for a list of one
        items = [part(draft, type_.of_type, place, inline=inline) for _ in range(draft.random.randint(0, 2))]
        return f"[{', '.join(text for text, _ in items)}]", [plain for _, plain in items]
    if isinstance(type_, GraphQLEnumType):
        name = draft.random.choice(sorted(type_.values))
        return name, name
    if isinstance(type_, GraphQLInputObjectType):
        fields = {
            name: part(draft, definition.type, f"{type_.name}.{name}", inline=inline)
            for name, definition in type_.fields.items()
            if isinstance(definition.type, GraphQLNonNull) or draft.chance(0.3)
        }
        return (
            "{" + ", ".join(f"{name}: {text}" for name, (text, _) in fields.items()) + "}",
            {name: plain for name, (_, plain) in fields.items()},
        )
    known = (key for key in (place, place.partition(".")[2], type_.name) if key in draft.literals)
    return draft.random.choice(draft.literals[next(known)])
