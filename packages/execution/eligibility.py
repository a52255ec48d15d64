"""Which operations the compiler leaves to graphql-core, determined from the document before execution."""

from collections.abc import Iterator

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
)

MAX_SELECTIONS = 5_000
_CONDITION_DIRECTIVES = ("skip", "include")
_INCREMENTAL_DIRECTIVES = ("defer", "stream")


class NotCompilable(Exception):
    """The compiler does not support the operation; the message is one of a few fixed reasons."""


def condition_variables(document: DocumentNode, operation: OperationDefinitionNode) -> tuple[tuple[str, ...], int]:
    """The variables that @skip and @include depend on, and the number of selections.

    Raises `NotCompilable` for an operation that is not compiled.
    """
    if any(
        directive.name.value == "experimental_disableErrorPropagation" for directive in operation.directives or ()
    ):
        raise NotCompilable("error propagation switched off")
    names: dict[str, None] = {}
    selections = 0
    for node in _reachable_selections(document, operation):
        selections += 1
        for directive in node.directives or ():
            if directive.name.value in _INCREMENTAL_DIRECTIVES:
                raise NotCompilable("incremental delivery")
            if directive.name.value in _CONDITION_DIRECTIVES:
                values = [argument.value for argument in directive.arguments or ()]
                names.update((value.name.value, None) for value in values if isinstance(value, VariableNode))
    return tuple(names), selections


def _reachable_selections(
    document: DocumentNode, operation: OperationDefinitionNode
) -> Iterator[FieldNode | InlineFragmentNode | FragmentSpreadNode]:
    """Every selection that the operation reaches, those of a fragment only once."""
    fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
    pending: list[SelectionSetNode] = [operation.selection_set]
    count = 0
    while pending:
        for selection in pending.pop().selections:
            count += 1
            if count > MAX_SELECTIONS:
                raise NotCompilable("too large")
            if isinstance(selection, FieldNode | InlineFragmentNode):
                yield selection
                if selection.selection_set:
                    pending.append(selection.selection_set)
            elif isinstance(selection, FragmentSpreadNode):
                yield selection
                fragment = fragments.pop(selection.name.value, None)
                if fragment is None:
                    continue
                if fragment.variable_definitions:
                    raise NotCompilable("fragment arguments")
                pending.append(fragment.selection_set)
