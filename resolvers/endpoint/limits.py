"""Limits that a document keeps or breaks whatever its variables; checked once, before validation."""

from dataclasses import dataclass

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
)

from core.settings import GraphQLSettings
from resolvers.endpoint.errors import Refused

MOST_REPEATS = 10


@dataclass(slots=True)
class Tally:
    """What was counted in a document so far."""

    aliases: int = 0
    directives: int = 0
    introspects: bool = False


def check_document(document: DocumentNode, settings: GraphQLSettings) -> Tally:
    """Count depth, aliases, directives and repeated fields; raise `Refused` with the limit that is broken."""
    fragments = {
        definition.name.value: definition
        for definition in document.definitions
        if isinstance(definition, FragmentDefinitionNode)
    }
    tally = Tally()
    depths: dict[str, int] = {}
    for definition in document.definitions:
        if isinstance(definition, OperationDefinitionNode | FragmentDefinitionNode):
            tally.directives += len(definition.directives or ())
            count(definition.selection_set, tally)
    for definition in document.definitions:
        if isinstance(definition, OperationDefinitionNode):
            depth = depth_of(definition.selection_set, fragments, depths, ())
            limit("selections deep", depth, settings.max_depth)
    limit("aliases", tally.aliases, settings.max_aliases)
    limit("directives", tally.directives, settings.max_directives)
    return tally


def limit(what: str, found: int, most: int) -> None:
    """Raise `Refused` when there are too many."""
    if found > most:
        raise Refused(f"The document has {found} {what}; the limit is {most}.")


def count(selections: SelectionSetNode, tally: Tally) -> None:
    """Count what is written in a selection set, without following fragments."""
    names: dict[str, int] = {}
    for node in selections.selections:
        tally.directives += len(node.directives or ())
        if isinstance(node, FieldNode):
            name = node.alias.value if node.alias else node.name.value
            names[name] = names.get(name, 0) + 1
            tally.aliases += node.alias is not None
            tally.introspects |= node.name.value in {"__schema", "__type"}
        inner = getattr(node, "selection_set", None)
        if inner is not None:
            count(inner, tally)
    most = max(names.values(), default=0)
    limit("repetitions of one field", most, MOST_REPEATS)


def depth_of(
    selections: SelectionSetNode,
    fragments: dict[str, FragmentDefinitionNode],
    known: dict[str, int],
    path: tuple[str, ...],
) -> int:
    """Levels of fields under a selection set. Introspection counts as one level: its own rule bounds it."""
    deepest = depth = 0
    for node in selections.selections:
        if isinstance(node, FieldNode):
            inner = node.selection_set
            plain = inner is None or node.name.value.startswith("__")
            depth = 1 if plain or inner is None else 1 + depth_of(inner, fragments, known, path)
        elif isinstance(node, InlineFragmentNode):
            depth = depth_of(node.selection_set, fragments, known, path)
        elif isinstance(node, FragmentSpreadNode):
            depth = depth_of_fragment(node, fragments, known, path)
        deepest = max(deepest, depth)
    return deepest


def depth_of_fragment(
    node: FragmentSpreadNode,
    fragments: dict[str, FragmentDefinitionNode],
    known: dict[str, int],
    path: tuple[str, ...],
) -> int:
    """The depth of a spread fragment, measured once; zero for a missing or circular one, which validation refuses."""
    name = node.name.value
    if name in path or name not in fragments:
        return 0
    if name not in known:
        known[name] = depth_of(fragments[name].selection_set, fragments, known, (*path, name))
    return known[name]
