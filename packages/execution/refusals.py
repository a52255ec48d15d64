"""What the compiler leaves to graphql-core: found out from the document, before anything of it runs."""

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

MOST_SELECTIONS = 5_000
CONDITIONS = ("skip", "include")
INCREMENTAL = ("defer", "stream")


class Refused(Exception):
    """The compiler does not take the operation; the text is the reason, one of a few."""


def conditions(document: DocumentNode, operation: OperationDefinitionNode) -> tuple[tuple[str, ...], int]:
    """The variables that @skip and @include look at, and how many selections there are.

    Raises `Refused` for what is not compiled.
    """
    if any(
        directive.name.value == "experimental_disableErrorPropagation" for directive in operation.directives or ()
    ):
        raise Refused("error propagation switched off")
    names: dict[str, None] = {}
    selections = 0
    for node in reached(document, operation):
        selections += 1
        for directive in node.directives or ():
            if directive.name.value in INCREMENTAL:
                raise Refused("incremental delivery")
            if directive.name.value in CONDITIONS:
                values = [argument.value for argument in directive.arguments or ()]
                names.update((value.name.value, None) for value in values if isinstance(value, VariableNode))
    return tuple(names), selections


def reached(
    document: DocumentNode, operation: OperationDefinitionNode
) -> Iterator[FieldNode | InlineFragmentNode | FragmentSpreadNode]:
    """Every selection that the operation reaches, those of a fragment once."""
    fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
    waiting: list[SelectionSetNode] = [operation.selection_set]
    count = 0
    while waiting:
        for selection in waiting.pop().selections:
            count += 1
            if count > MOST_SELECTIONS:
                raise Refused("too large")
            if isinstance(selection, FieldNode | InlineFragmentNode):
                yield selection
                if selection.selection_set:
                    waiting.append(selection.selection_set)
            elif isinstance(selection, FragmentSpreadNode):
                yield selection
                fragment = fragments.pop(selection.name.value, None)
                if fragment is None:
                    continue
                if fragment.variable_definitions:
                    raise Refused("fragment arguments")
                waiting.append(fragment.selection_set)
