"""Operations from the schema: for every place that takes an id, a document that uses one."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from typing import Any

from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    get_named_type,
    get_nullable_type,
    is_leaf_type,
    is_list_type,
)

from core import clock

numbers = count(1)
DEPTH = 3

# The type of an id, where the name of its argument or field does not contain it (`campaignId`, `listIds`).
KINDS = {
    ("cancelMayaReply", "messageId"): "Message",
    ("mayaReply", "messageId"): "Message",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A root field and the path to one of its ids, such as `("input", "audience", "listIds")`."""

    root: str
    field: str
    path: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.field}({'.'.join(self.path)})"


def places(schema: GraphQLSchema) -> Iterator[Place]:
    """Every place of the schema that takes an id."""
    for root in (schema.query_type, schema.mutation_type, schema.subscription_type):
        assert root is not None
        for name, field in root.fields.items():
            for path in id_paths(field.args, ()):
                yield Place(root=root.name, field=name, path=path)


def id_paths(
    inputs: dict[str, GraphQLArgument] | dict[str, GraphQLInputField], parent_names: tuple[str, ...]
) -> Iterator[tuple[str, ...]]:
    """The paths to ids among some arguments or input fields, through nested inputs, each input type once."""
    for name, item in inputs.items():
        kind = get_named_type(item.type)
        if kind.name == "ID":
            yield (name,)
        elif isinstance(kind, GraphQLInputObjectType) and kind.name not in parent_names:
            for path in id_paths(kind.fields, (*parent_names, kind.name)):
                yield (name, *path)


def kind_of(place: Place, types: set[str], *, name: str) -> list[str]:
    """The types of objects that an id may refer to; fails if the name does not show it."""
    if (place.field, name) in KINDS:
        return [KINDS[place.field, name]]
    if place.field in {"node", "nodes"}:
        return sorted(types)
    word = place.field if name == "id" else name.removesuffix("s").removesuffix("Id")
    matches = [kind for kind in types if word.lower().endswith(kind.lower())]
    assert matches, f"{place}: which object does `{name}` name? Give tests/tenancy an example of it."
    return matches


class Operation:
    """A document and variables for a place; other ids that it needs come from `own`."""

    def __init__(self, schema: GraphQLSchema, place: Place, own: dict[str, str]) -> None:
        self.place = place
        self.own = own
        root = schema.type_map[place.root]
        assert isinstance(root, GraphQLObjectType)
        self.schema = schema
        self.definition: GraphQLField = root.fields[place.field]

    def document(self) -> str:
        """The operation, with every argument as a variable."""
        used = self.arguments("")
        declared = ", ".join(f"${name}: {self.definition.args[name].type}" for name in used)
        arguments = ", ".join(f"{name}: ${name}" for name in used)
        selection = self.selection(get_named_type(self.definition.type), DEPTH)
        head, call = (f" ({declared})", f"({arguments})") if used else ("", "")
        return f"{self.place.root.lower()}{head} {{ {self.place.field}{call} {selection} }}"

    def arguments(self, value: str) -> dict[str, Any]:
        """The variables, with `value` at the place."""
        return self.fill(dict(self.definition.args), self.place.path, value)

    def fill(self, inputs: dict[str, Any], path: tuple[str, ...], value: str) -> dict[str, Any]:
        """Values for required inputs, and for those on the path to the id."""
        values: dict[str, Any] = {}
        for name, item in inputs.items():
            on_path = bool(path) and name == path[0]
            required = isinstance(item.type, GraphQLNonNull)
            if on_path or required:
                values[name] = self.value(name, item.type, path[1:] if on_path else (), value if on_path else None)
        return values

    def value(self, name: str, kind: Any, path: tuple[str, ...], id_value: str | None) -> Any:  # noqa: ANN401 - any input
        """One value: the id under test, or any valid one."""
        nullable = get_nullable_type(kind)
        if is_list_type(nullable):
            return [self.value(name, nullable.of_type, path, id_value)]
        if isinstance(nullable, GraphQLInputObjectType):
            return self.fill(dict(nullable.fields), path, id_value or "")
        if nullable.name == "ID":
            return id_value or self.own[kind_of(self.place, set(self.own), name=name)[0]]
        if isinstance(nullable, GraphQLEnumType):
            return next(iter(nullable.values))
        number = next(numbers)
        samples: dict[str, object] = {
            "String": f"text-{number}",
            "EmailAddress": f"text-{number}@example.com",
            "DateTime": (clock.now() + timedelta(hours=1)).isoformat(),
            "Int": 1,
            "Float": 1.0,
            "Boolean": False,
            "JSON": {},
        }
        return samples[nullable.name]

    def selection(self, kind: GraphQLNamedType, depth: int) -> str:
        """All fields without required arguments, a few levels deep."""
        if is_leaf_type(kind):
            return ""
        if isinstance(kind, GraphQLUnionType):
            return "{ __typename }"
        assert isinstance(kind, GraphQLObjectType | GraphQLInterfaceType)
        fields = ["__typename"]
        for name, field in kind.fields.items():
            inner = get_named_type(field.type)
            if any(isinstance(argument.type, GraphQLNonNull) for argument in field.args.values()):
                continue
            if is_leaf_type(inner):
                fields.append(name)
            elif depth > 1 and not inner.name.endswith("Connection"):
                fields.append(f"{name} {self.selection(inner, depth - 1)}")
        return f"{{ {' '.join(fields)} }}"
