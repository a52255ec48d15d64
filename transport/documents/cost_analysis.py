"""Builds the cost nodes (see `costs`) of a validated document's operations, and finds the permissions they need."""

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
from resolvers.fields import Requires, access_rule_of, declared_cost
from transport.documents.costs import ArgumentValue, CostNode, ListLength, PageSize
from transport.errors import COST_EXCEEDED, RequestRefused

MUTATION_COST = 10
INTROSPECTION_COST = 100
PER_ITEM_FIELDS = frozenset({"edges", "nodes"})
FREE_TYPES = frozenset({"UserError"})

SelectedField = tuple[GraphQLNamedType, FieldNode]


@dataclass(slots=True, kw_only=True)
class _CostAnalyzer:
    """Builds the cost nodes of one operation. Stops above `max_nodes`: the operation is over the limit anyway."""

    schema: GraphQLSchema
    fragments: dict[str, FragmentDefinitionNode]
    defaults: dict[str, Any]
    max_nodes: int
    node_count: int = 0

    def nodes(
        self,
        parent: GraphQLNamedType,
        selection_sets: Sequence[SelectionSetNode],
        input_lists: tuple[ArgumentValue, ...] = (),
        root_weight: int = 0,
    ) -> tuple[CostNode, ...]:
        """The cost nodes below some selection sets of one object.

        `input_lists` are the lists of the input for which the object returns a row each; each root field costs
        `root_weight` more. A key that means different fields on different types makes a node of each: only the
        response shows which it was.
        """
        groups: dict[tuple[str, str], list[SelectedField]] = {}
        for owner, node in self.fields(parent, selection_sets, set()):
            key = node.alias.value if node.alias else node.name.value
            groups.setdefault((key, owner.name), []).append((owner, node))
        nodes = (self.node(key, selected, input_lists, root_weight) for (key, _), selected in groups.items())
        return tuple(node for node in nodes if node is not None)

    def fields(
        self, parent: GraphQLNamedType, selection_sets: Sequence[SelectionSetNode], seen: set[str]
    ) -> Iterator[SelectedField]:
        """The fields selected on a type, through its fragments, each named fragment once."""
        for node in (node for selections in selection_sets for node in selections.selections):
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

    def node(
        self, key: str, selected: list[SelectedField], input_lists: tuple[ArgumentValue, ...], root_weight: int
    ) -> CostNode | None:
        """The cost node of one key of the response; None for what costs nothing."""
        owner, first = selected[0]
        selection_sets = [each.selection_set for _, each in selected if each.selection_set is not None]
        name = first.name.value
        if not selection_sets and not _leaf_cost(owner, name):
            return None
        self.node_count += 1
        if self.node_count > self.max_nodes:
            raise RequestRefused(f"The operation costs more than {self.max_nodes} points.", code=COST_EXCEEDED)
        if name in {"__schema", "__type"}:
            return CostNode(key, INTROSPECTION_COST)
        if not isinstance(owner, GraphQLObjectType | GraphQLInterfaceType):
            return None
        field = owner.fields[name]
        result = get_named_type(field.type)
        if is_leaf_type(result):
            # A list of values is counted once, however long it is.
            is_list = is_list_type(get_nullable_type(field.type))
            cost = declared_cost(field)
            return CostNode(key, 0 if is_list else cost, own_cost=cost if is_list else 0)
        if result.name in FREE_TYPES:
            return None
        is_per_item = name in PER_ITEM_FIELDS and owner.name.endswith("Connection")
        size = None if is_per_item else self.size(field, first, input_lists)
        return CostNode(
            key=key,
            weight=root_weight + (0 if result.name.endswith("Edge") else 1),
            own_cost=declared_cost(field),
            size=size,
            is_paged=isinstance(size, PageSize) and result.name.endswith("Connection"),
            is_per_item=is_per_item,
            is_single=not is_list_type(get_nullable_type(field.type)),
            non_null=_items_are_non_null(field.type),
            children=self.nodes(result, selection_sets, self.input_lists(field, first) if root_weight else ()),
        )

    def size(
        self, field: GraphQLField, node: FieldNode, input_lists: tuple[ArgumentValue, ...]
    ) -> PageSize | ListLength | None:
        """How many items a field may return; None for a field that is not a list."""
        arguments = {argument.name.value: argument.value for argument in node.arguments or ()}
        if "first" in field.args or "last" in field.args:
            return PageSize(tuple(self.value(arguments[name]) for name in ("first", "last") if name in arguments))
        if "ids" in arguments:
            return ListLength((self.value(arguments["ids"]),))
        return ListLength(input_lists) if is_list_type(get_nullable_type(field.type)) else None

    def input_lists(self, field: GraphQLField, node: FieldNode) -> tuple[ArgumentValue, ...]:
        """The lists of ids and of objects in a mutation's input: its payload has a row for each of their items."""
        lists = []
        for argument in node.arguments or ():
            type_ = get_named_type(field.args[argument.name.value].type)
            if isinstance(type_, GraphQLInputObjectType):
                names = [name for name, item in type_.fields.items() if _is_list_of_rows(item)]
                lists += [self.input_field(argument.value, name) for name in names]
        return tuple(lists)

    def input_field(self, value: ValueNode, name: str) -> ArgumentValue:
        """A field of an input object."""
        match value:
            case VariableNode():
                return ArgumentValue(self.defaults.get(value.name.value), value.name.value, (name,))
            case ObjectValueNode():
                values = (self.value(each.value) for each in value.fields if each.name.value == name)
                return next(values, ArgumentValue())
        return ArgumentValue()

    def value(self, value: ValueNode) -> ArgumentValue:
        """A value as the document has it."""
        if isinstance(value, VariableNode):
            return ArgumentValue(self.defaults.get(value.name.value), value.name.value)
        return ArgumentValue(value_from_ast_untyped(value))


def _items_are_non_null(type_: GraphQLOutputType) -> bool:
    """Whether no item of a list can be null; for a type that is not a list, whether the value cannot."""
    inner: Any = get_nullable_type(type_)
    return is_non_null_type(inner.of_type if is_list_type(inner) else type_)


def _leaf_cost(owner: GraphQLNamedType, name: str) -> int:
    """The cost of a field without a selection set: 0, unless it declares a cost."""
    if not isinstance(owner, GraphQLObjectType | GraphQLInterfaceType) or name not in owner.fields:
        return 0
    return declared_cost(owner.fields[name])


def _is_list_of_rows(item: GraphQLArgument) -> bool:
    """Whether an input field is a list of ids or of objects, not of other scalars."""
    type_ = get_named_type(item.type)
    is_row = isinstance(type_, GraphQLInputObjectType) or type_.name == "ID"
    return is_row and is_list_type(get_nullable_type(item.type))


def analyze(
    schema: GraphQLSchema,
    operation: OperationDefinitionNode,
    fragments: dict[str, FragmentDefinitionNode],
    *,
    max_nodes: int,
) -> tuple[CostNode, ...]:
    """The cost nodes of a validated operation; raises `RequestRefused` when there are more than `max_nodes`."""
    root = schema.get_root_type(operation.operation)
    if root is None:
        return ()
    defaults = {
        variable.variable.name.value: value_from_ast_untyped(variable.default_value)
        for variable in operation.variable_definitions or ()
        if variable.default_value is not None
    }
    analyzer = _CostAnalyzer(schema=schema, fragments=fragments, defaults=defaults, max_nodes=max_nodes)
    root_weight = MUTATION_COST if operation.operation is OperationType.MUTATION else 0
    return analyzer.nodes(root, [operation.selection_set], root_weight=root_weight)


def protected_field(
    schema: GraphQLSchema, operation: OperationDefinitionNode, fragments: dict[str, FragmentDefinitionNode]
) -> FieldNode | None:
    """The first of a validated operation's root fields, when every one of them needs an authenticated caller."""
    root = schema.get_root_type(operation.operation)
    if root is None:
        return None
    analyzer = _CostAnalyzer(schema=schema, fragments=fragments, defaults={}, max_nodes=0)
    nodes = [node for _, node in analyzer.fields(root, [operation.selection_set], set())]
    return nodes[0] if all(required_permission(root, node) is not None for node in nodes) else None


def required_permission(root: GraphQLObjectType, node: FieldNode) -> Permission | None:
    """The permission that a root field requires; None for a public one."""
    field = root.fields.get(node.name.value)
    rule = access_rule_of(field) if field is not None else None
    return rule.permission if isinstance(rule, Requires) else None
