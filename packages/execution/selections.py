"""Which fields were selected under the one being resolved, so that services read no more than was asked for."""

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
    """Names of fields (as in the schema, whatever their aliases) and what is selected under each.

    Fragments count for all types: `"totalCount" in selection`, `selection.has("edges", "node")`.
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
        """What is selected at the end of the path; nothing where it is not selected itself."""
        selection = self
        for name in names:
            selection = selection.fields.get(name) or Selection()
        return selection


class Nodes(list[FieldNode]):
    """The nodes of a field in a plan. What they select, and what follows from that, is worked out once."""

    __slots__ = ("known", "selection")
    selection: Selection

    def __init__(self, nodes: Iterable[FieldNode]) -> None:
        super().__init__(nodes)
        self.known: dict[object, Any] = {}


def selected_fields(info: Any) -> Selection:
    """What is selected under the field; takes the `info` of Strawberry or of graphql-core.

    Conditions (`@skip`, `@include`) have been applied. In a compiled operation it costs a look-up.
    """
    raw = raw_info(info)
    nodes = raw.field_nodes
    if isinstance(nodes, Nodes):
        if not hasattr(nodes, "selection"):
            nodes.selection = selection_of(nodes, raw)
        return nodes.selection
    return selection_of(nodes, raw)


def worked_out(info: Any, work: Callable[[Selection], T]) -> T:
    """What a function makes of what is selected under the field. In a compiled operation it is called once.

    It must be one of a module, which depends on nothing else.
    """
    nodes = raw_info(info).field_nodes
    if not isinstance(nodes, Nodes):
        return work(selected_fields(info))
    if work not in nodes.known:
        nodes.known[work] = work(selected_fields(info))
    found: T = nodes.known[work]
    return found


def selection_of(nodes: list[FieldNode], info: GraphQLResolveInfo[Any]) -> Selection:
    """What the nodes select."""
    values: Any = info.variable_values
    variables: dict[str, Any] = values if isinstance(values, dict) else values.coerced
    found = Selection()
    for node in nodes:
        if node.selection_set:
            collect(found, node.selection_set, info.fragments, variables)
    return found


def collect(
    into: Selection,
    selection_set: SelectionSetNode,
    fragments: dict[str, FragmentDefinitionNode],
    variables: dict[str, Any],
) -> None:
    """Add what a selection set selects."""
    for node in selection_set.selections:
        if not included(node, variables):
            continue
        if isinstance(node, FieldNode):
            inner = into.fields.setdefault(node.name.value, Selection())
            if node.selection_set:
                collect(inner, node.selection_set, fragments, variables)
        elif isinstance(node, InlineFragmentNode):
            collect(into, node.selection_set, fragments, variables)
        elif isinstance(node, FragmentSpreadNode) and node.name.value in fragments:
            collect(into, fragments[node.name.value].selection_set, fragments, variables)


def included(node: SelectionNode, variables: dict[str, Any]) -> bool:
    """Whether `@skip` and `@include` leave the node in."""
    for directive in node.directives or ():
        if directive.name.value not in {"skip", "include"}:
            continue
        for argument in directive.arguments or ():
            value = argument.value
            on = variables.get(value.name.value) if isinstance(value, VariableNode) else getattr(value, "value", None)
            if bool(on) is (directive.name.value == "skip"):
                return False
    return True
