"""What an operation costs: a point for each object it may return, with the sizes of lists multiplied.

A page (a field with `first` or `last`) counts its items as many times as were asked for, 25 when neither is given;
a field with `ids` counts once for each of them. A mutation's root field costs 10 more, introspection 100 in all.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    ListValueNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    ValueNode,
    VariableNode,
    get_named_type,
    value_from_ast_untyped,
)

from resolvers.endpoint.errors import COST_EXCEEDED, Refused

PAGE_SIZE = 25
MUTATION_COST = 10
INTROSPECTION_COST = 100
PER_ITEM = frozenset({"edges", "nodes"})

Variables: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Size:
    """How many items a field asks for: known from the document, or named by a variable."""

    known: int
    variable: str | None = None

    def of(self, variables: Variables) -> int:
        """The size with these variables; what does not fit counts as a page, as execution will refuse it."""
        if self.variable is None or self.variable not in variables:
            return self.known
        value = variables[self.variable]
        if isinstance(value, list):
            return len(value)
        return max(value, 0) if isinstance(value, int) else self.known


@dataclass(frozen=True, slots=True)
class Part:
    """A field that returns objects: where it stands in the answer, and what each of its objects costs."""

    key: str
    weight: int
    size: Size | None
    paged: bool
    per_item: bool
    parts: tuple["Part", ...]

    def requested(self, variables: Variables) -> int:
        """The most that the field can cost."""
        many = self.size.of(variables) if self.size else 1
        if not self.paged:
            return many * (self.weight + sum(part.requested(variables) for part in self.parts))
        return self.weight + sum((many if part.per_item else 1) * part.requested(variables) for part in self.parts)

    def actual(self, value: object) -> int:
        """What the field's value did cost."""
        if isinstance(value, list):
            if not self.parts:
                return self.weight * len(value)
            return sum(self.actual(item) for item in value)
        if not isinstance(value, dict):
            return self.weight
        return self.weight + sum(part.actual(value.get(part.key)) for part in self.parts)


def requested(parts: Sequence[Part], variables: Variables) -> int:
    """The most that an operation can cost; at least 1."""
    return max(1, sum(part.requested(variables) for part in parts))


def actual(parts: Sequence[Part], data: dict[str, Any] | None) -> int:
    """What an operation's answer did cost; at least 1."""
    return max(1, sum(part.actual(data.get(part.key)) for part in parts)) if data else 1


@dataclass(slots=True, kw_only=True)
class Planner:
    """Reads the parts of one operation. Gives up above `most` parts: the operation is too dear in any case."""

    schema: GraphQLSchema
    fragments: dict[str, FragmentDefinitionNode]
    defaults: dict[str, Any]
    most: int
    made: int = 0

    def parts(self, parent: GraphQLNamedType, sets: Sequence[SelectionSetNode], root_weight: int) -> tuple[Part, ...]:
        """The parts under some selection sets of one object."""
        groups: dict[str, list[tuple[GraphQLNamedType, FieldNode]]] = {}
        for owner, node in self.fields(parent, sets, set()):
            groups.setdefault(node.alias.value if node.alias else node.name.value, []).append((owner, node))
        found = (self.part(key, nodes, root_weight) for key, nodes in groups.items())
        return tuple(part for part in found if part is not None)

    def fields(
        self, parent: GraphQLNamedType, sets: Sequence[SelectionSetNode], seen: set[str]
    ) -> Iterator[tuple[GraphQLNamedType, FieldNode]]:
        """The fields selected on a type, through its fragments, each fragment once."""
        for node in (node for selections in sets for node in selections.selections):
            match node:
                case FieldNode():
                    yield parent, node
                case InlineFragmentNode(type_condition=condition, selection_set=inner):
                    owner = self.schema.type_map[condition.name.value] if condition else parent
                    yield from self.fields(owner, [inner], seen)
                case FragmentSpreadNode() if node.name.value not in seen:
                    seen.add(node.name.value)
                    fragment = self.fragments[node.name.value]
                    owner = self.schema.type_map[fragment.type_condition.name.value]
                    yield from self.fields(owner, [fragment.selection_set], seen)

    def part(self, key: str, nodes: list[tuple[GraphQLNamedType, FieldNode]], root_weight: int) -> Part | None:
        """The part of one key of the answer; None for what returns no object."""
        owner, node = nodes[0]
        sets = [node.selection_set for _, node in nodes if node.selection_set is not None]
        name = node.name.value
        if not sets:
            return None
        self.made += 1
        if self.made > self.most:
            raise Refused(f"The operation costs more than {self.most} points.", code=COST_EXCEEDED)
        if name in {"__schema", "__type"}:
            return Part(key, INTROSPECTION_COST, None, False, False, ())
        if not isinstance(owner, GraphQLObjectType | GraphQLInterfaceType):
            return None
        result = get_named_type(owner.fields[name].type)
        size, paged = self.size(owner, node)
        return Part(
            key=key,
            weight=root_weight + (0 if result.name.endswith("Edge") else 1),
            size=size,
            paged=paged and result.name.endswith("Connection"),
            per_item=name in PER_ITEM,
            parts=self.parts(result, sets, 0),
        )

    def size(self, owner: GraphQLObjectType | GraphQLInterfaceType, node: FieldNode) -> tuple[Size | None, bool]:
        """How many items a field asks for, and whether it is a page."""
        arguments = owner.fields[node.name.value].args
        given = {argument.name.value: argument.value for argument in node.arguments or ()}
        for name in ("first", "last"):
            if name in given:
                return self.read(given[name], PAGE_SIZE), True
        if "first" in arguments:
            return Size(PAGE_SIZE), True
        return (self.read(given["ids"], 1), False) if "ids" in given else (None, False)

    def read(self, value: ValueNode, fallback: int) -> Size:
        """A size as it is written in the document."""
        match value:
            case IntValueNode():
                return Size(max(int(value.value), 0))
            case ListValueNode():
                return Size(len(value.values))
            case VariableNode():
                default = self.defaults.get(value.name.value, fallback)
                return Size(default if isinstance(default, int) else fallback, value.name.value)
        return Size(fallback)


def plan(
    schema: GraphQLSchema,
    operation: OperationDefinitionNode,
    fragments: dict[str, FragmentDefinitionNode],
    *,
    most: int,
) -> tuple[Part, ...]:
    """The parts of a validated operation; raises `Refused` when there are more than `most`."""
    root = schema.get_root_type(operation.operation)
    if root is None:
        return ()
    defaults = {
        variable.variable.name.value: value_from_ast_untyped(variable.default_value)
        for variable in operation.variable_definitions or ()
        if variable.default_value is not None
    }
    planner = Planner(schema=schema, fragments=fragments, defaults=defaults, most=most)
    mutation = operation.operation is OperationType.MUTATION
    return planner.parts(root, [operation.selection_set], MUTATION_COST if mutation else 0)
