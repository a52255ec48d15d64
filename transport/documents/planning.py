"""Reading from a validated document what its operations cost, see `costs`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLArgument,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLSchema,
    InlineFragmentNode,
    ObjectValueNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    ValueNode,
    VariableNode,
    get_named_type,
    get_nullable_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
    value_from_ast_untyped,
)

from core.access.permissions import Permission
from resolvers.fields import Requires, own_cost, rule_of
from transport.documents.costs import Given, Length, Page, Part
from transport.errors import COST_EXCEEDED, Refused

MUTATION_COST = 10
INTROSPECTION_COST = 100
PER_ITEM = frozenset({"edges", "nodes"})
FREE = frozenset({"UserError"})

Selected = tuple[GraphQLNamedType, FieldNode]


@dataclass(slots=True, kw_only=True)
class Planner:
    """Reads the parts of one operation. Gives up above `most` parts: the operation is too dear in any case."""

    schema: GraphQLSchema
    fragments: dict[str, FragmentDefinitionNode]
    defaults: dict[str, Any]
    most: int
    made: int = 0

    def root_parts(self, root: GraphQLObjectType, selections: SelectionSetNode, weight: int) -> tuple[Part, ...]:
        """The parts of an operation, each of whose root fields costs `weight` more."""
        return self.parts(root, [selections], (), weight)

    def parts(
        self,
        parent: GraphQLNamedType,
        sets: Sequence[SelectionSetNode],
        rows: tuple[Given, ...],
        root_weight: int = 0,
    ) -> tuple[Part, ...]:
        """The parts under some selection sets of one object; `rows` are the input's lists that it answers.

        A key that means different fields on different types makes a part of each: the answer alone decides.
        """
        groups: dict[tuple[str, str], list[Selected]] = {}
        for owner, node in self.fields(parent, sets, set()):
            key = node.alias.value if node.alias else node.name.value
            groups.setdefault((key, owner.name), []).append((owner, node))
        found = (self.part(key, nodes, rows, root_weight) for (key, _), nodes in groups.items())
        return tuple(part for part in found if part is not None)

    def fields(
        self, parent: GraphQLNamedType, sets: Sequence[SelectionSetNode], seen: set[str]
    ) -> Iterator[Selected]:
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

    def part(self, key: str, nodes: list[Selected], rows: tuple[Given, ...], root_weight: int) -> Part | None:
        """The part of one key of the answer; None for what costs nothing."""
        owner, node = nodes[0]
        sets = [node.selection_set for _, node in nodes if node.selection_set is not None]
        name = node.name.value
        if not sets and not leaf_cost(owner, name):
            return None
        self.made += 1
        if self.made > self.most:
            raise Refused(f"The operation costs more than {self.most} points.", code=COST_EXCEEDED)
        if name in {"__schema", "__type"}:
            return Part(key, INTROSPECTION_COST)
        if not isinstance(owner, GraphQLObjectType | GraphQLInterfaceType):
            return None
        field = owner.fields[name]
        result = get_named_type(field.type)
        if is_leaf_type(result):
            # A list of values is counted once, however long it is.
            one = not is_list_type(get_nullable_type(field.type))
            return Part(key, own_cost(field) if one else 0, once=0 if one else own_cost(field))
        if result.name in FREE:
            return None
        per_item = name in PER_ITEM and owner.name.endswith("Connection")
        size = None if per_item else self.size(field, node, rows)
        answers = self.rows(field, node) if root_weight else ()
        return Part(
            key=key,
            weight=root_weight + (0 if result.name.endswith("Edge") else 1),
            once=own_cost(field),
            size=size,
            paged=isinstance(size, Page) and result.name.endswith("Connection"),
            per_item=per_item,
            single=not is_list_type(get_nullable_type(field.type)),
            present=has_no_nulls(field.type),
            parts=self.parts(result, sets, answers),
        )

    def size(self, field: GraphQLField, node: FieldNode, rows: tuple[Given, ...]) -> Page | Length | None:
        """How many items a field may have; None for one that is no list."""
        given = {argument.name.value: argument.value for argument in node.arguments or ()}
        if "first" in field.args or "last" in field.args:
            return Page(tuple(self.read(given[name]) for name in ("first", "last") if name in given))
        if "ids" in given:
            return Length((self.read(given["ids"]),))
        return Length(rows) if is_list_type(get_nullable_type(field.type)) else None

    def rows(self, field: GraphQLField, node: FieldNode) -> tuple[Given, ...]:
        """The lists of ids and of objects in a mutation's input: its payload has a row for each of theirs."""
        found = []
        for argument in node.arguments or ():
            kind = get_named_type(field.args[argument.name.value].type)
            if isinstance(kind, GraphQLInputObjectType):
                names = [name for name, item in kind.fields.items() if has_rows(item)]
                found += [self.at(argument.value, name) for name in names]
        return tuple(found)

    def at(self, value: ValueNode, name: str) -> Given:
        """A field of an input object."""
        match value:
            case VariableNode():
                return Given(self.defaults.get(value.name.value), value.name.value, (name,))
            case ObjectValueNode():
                return next((self.read(each.value) for each in value.fields if each.name.value == name), Given())
        return Given()

    def read(self, value: ValueNode) -> Given:
        """A value as it is written in the document."""
        if isinstance(value, VariableNode):
            return Given(self.defaults.get(value.name.value), value.name.value)
        return Given(value_from_ast_untyped(value))


def has_no_nulls(type_: GraphQLOutputType) -> bool:
    """Whether no item of a list (or the value, of what is no list) is null."""
    inner: Any = get_nullable_type(type_)
    return is_non_null_type(inner.of_type if is_list_type(inner) else type_)


def leaf_cost(owner: GraphQLNamedType, name: str) -> int:
    """What a field without sub-selections costs: nothing, unless it is declared to count or to scan rows."""
    if not isinstance(owner, GraphQLObjectType | GraphQLInterfaceType) or name not in owner.fields:
        return 0
    return own_cost(owner.fields[name])


def has_rows(item: GraphQLArgument) -> bool:
    """Whether an input field is a list of ids or of objects, not of mere values."""
    kind = get_named_type(item.type)
    is_row = isinstance(kind, GraphQLInputObjectType) or kind.name == "ID"
    return is_row and is_list_type(get_nullable_type(item.type))


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
    return planner.root_parts(root, operation.selection_set, MUTATION_COST if mutation else 0)


def guarded_root(
    schema: GraphQLSchema, operation: OperationDefinitionNode, fragments: dict[str, FragmentDefinitionNode]
) -> FieldNode | None:
    """The first of a validated operation's root fields, when every one of them needs an authenticated caller."""
    root = schema.get_root_type(operation.operation)
    if root is None:
        return None
    planner = Planner(schema=schema, fragments=fragments, defaults={}, most=0)
    nodes = [node for _, node in planner.fields(root, [operation.selection_set], set())]
    return nodes[0] if all(needs_caller(root, node) for node in nodes) else None


def needs_caller(root: GraphQLObjectType, node: FieldNode) -> bool:
    """Whether a root field is for authenticated callers alone."""
    return required(root, node) is not None


def required(root: GraphQLObjectType, node: FieldNode) -> Permission | None:
    """The permission that a root field takes; None for one that anybody may use."""
    field = root.fields.get(node.name.value)
    rule = rule_of(field) if field is not None else None
    return rule.permission if isinstance(rule, Requires) else None
