"""The fields selected below the one being resolved, so that services read only what is needed."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLResolveInfo,
    InlineFragmentNode,
    SelectionNode,
    SelectionSetNode,
    VariableNode,
)

from execution.strawberry_private import raw_info

T = TypeVar("T")


class Selection(Mapping[str, "Selection"]):
    """Names of selected fields (the schema's, not their aliases) and the selection below each.

    The type condition of a fragment is ignored. Use `"totalCount" in selection` and `selection.has("edges", "node")`.
    """

    __slots__ = ("fields",)

    def __init__(self) -> None:
        self.fields: dict[str, Selection] = {}

    def __getitem__(self, name: str) -> "Selection":
        return self.fields[name]

    def __contains__(self, name: object) -> bool:
        return name in self.fields

    def __iter__(self) -> Iterator[str]:
        return iter(self.fields)

    def __len__(self) -> int:
        return len(self.fields)

    def __repr__(self) -> str:
        return f"Selection({', '.join(self.fields)})"

    def has(self, *names: str) -> bool:
        """Whether the field at the end of the path is selected."""
        selection = self
        for name in names:
            if name not in selection.fields:
                return False
            selection = selection.fields[name]
        return True

    def at(self, *names: str) -> "Selection":
        """The selection below the end of the path; empty where the path is not selected."""
        selection = self
        for name in names:
            selection = selection.fields.get(name) or Selection()
        return selection


class PlanNodes(list[FieldNode]):
    """The nodes of a field in a plan, with a cache of their selection and of values computed from it."""

    __slots__ = ("cache", "selection")
    selection: Selection

    def __init__(self, nodes: Iterable[FieldNode]) -> None:
        super().__init__(nodes)
        self.cache: dict[object, Any] = {}


def selected_fields(info: Any) -> Selection:
    """The selection below the field, with `@skip` and `@include` applied.

    `info` is Strawberry's or graphql-core's. In a compiled operation the result is cached.
    """
    raw = raw_info(info)
    nodes = raw.field_nodes
    if isinstance(nodes, PlanNodes):
        if not hasattr(nodes, "selection"):
            nodes.selection = _selection_of(nodes, raw)
        return nodes.selection
    return _selection_of(nodes, raw)


def once_per_plan(info: Any, function: Callable[[Selection], T]) -> T:
    """The result of a function of the selection below the field; a compiled operation calls it once per plan.

    The function must be defined at module level and depend on nothing else.
    """
    nodes = raw_info(info).field_nodes
    if not isinstance(nodes, PlanNodes):
        return function(selected_fields(info))
    if function not in nodes.cache:
        nodes.cache[function] = function(selected_fields(info))
    cached: T = nodes.cache[function]
    return cached


def _selection_of(nodes: list[FieldNode], info: GraphQLResolveInfo[Any]) -> Selection:
    """The selection of the nodes."""
    values: Any = info.variable_values
    variables: dict[str, Any] = values if isinstance(values, dict) else values.coerced
    selection = Selection()
    for node in nodes:
        if node.selection_set:
            _collect(selection, node.selection_set, info.fragments, variables)
    return selection


def _collect(
    into: Selection,
    selection_set: SelectionSetNode,
    fragments: dict[str, FragmentDefinitionNode],
    variables: dict[str, Any],
) -> None:
    """Add the fields of a selection set."""
    for node in selection_set.selections:
        if not _is_included(node, variables):
            continue
        if isinstance(node, FieldNode):
            inner = into.fields.setdefault(node.name.value, Selection())
            if node.selection_set:
                _collect(inner, node.selection_set, fragments, variables)
        elif isinstance(node, InlineFragmentNode):
            _collect(into, node.selection_set, fragments, variables)
        elif isinstance(node, FragmentSpreadNode) and node.name.value in fragments:
            _collect(into, fragments[node.name.value].selection_set, fragments, variables)


def _is_included(node: SelectionNode, variables: dict[str, Any]) -> bool:
    """Whether `@skip` and `@include` include the node."""
    for directive in node.directives or ():
        if directive.name.value not in {"skip", "include"}:
            continue
        for argument in directive.arguments or ():
            value = argument.value
            on = variables.get(value.name.value) if isinstance(value, VariableNode) else getattr(value, "value", None)
            if bool(on) is (directive.name.value == "skip"):
                return False
    return True
