"""Limits of a document that do not depend on its variables; checked once, before validation."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    TokenKind,
)

from core.http.settings import GraphQLSettings
from transport.errors import RequestRefused

MAX_REPETITIONS = 30
MAX_SELECTIONS = 20_000
MAX_NUMBER_CHARACTERS = 1_000
"""Far longer than any GraphQL Int or Float; Python itself parses no integer of over 4,300 digits."""


@dataclass(slots=True)
class DocumentCounts:
    """What a document contains."""

    aliases: int = 0
    directives: int = 0
    introspects: bool = False


def check_document(document: DocumentNode, settings: GraphQLSettings) -> DocumentCounts:
    """Count depth, aliases, directives and repeated fields; raise `RequestRefused` for the first limit exceeded."""
    _check_numbers(document)
    fragments = {
        definition.name.value: definition
        for definition in document.definitions
        if isinstance(definition, FragmentDefinitionNode)
    }
    counts = DocumentCounts()
    depths: dict[str, int] = {}
    for definition in document.definitions:
        if isinstance(definition, OperationDefinitionNode | FragmentDefinitionNode):
            counts.directives += len(definition.directives or ())
            _count(definition.selection_set, counts)
    for definition in document.definitions:
        if isinstance(definition, OperationDefinitionNode):
            depth = _depth(definition.selection_set, fragments, depths, ())
            _require_at_most("selections deep", depth, settings.max_depth)
    _require_at_most("aliases", counts.aliases, settings.max_aliases)
    _require_at_most("directives", counts.directives, settings.max_directives)
    merged = _MergedSelections(fragments)
    for definition in document.definitions:
        if isinstance(definition, OperationDefinitionNode | FragmentDefinitionNode):
            merged.check([definition.selection_set])
    return counts


def _check_numbers(document: DocumentNode) -> None:
    """Raise `RequestRefused` for a number of more than 1,000 characters anywhere in the document."""
    token = document.loc.start_token if document.loc else None
    while token is not None:
        if token.kind in {TokenKind.INT, TokenKind.FLOAT} and len(token.value or "") > MAX_NUMBER_CHARACTERS:
            raise RequestRefused(
                f"The number at line {token.line}, column {token.column} has more than {MAX_NUMBER_CHARACTERS} "
                "characters.",
                suggestion="An Int has 32 bits, a Float 64; send anything longer as a string.",
            )
        token = token.next


def _require_at_most(what: str, count: int, maximum: int) -> None:
    """Raise `RequestRefused` when there are more than `maximum`."""
    if count > maximum:
        raise RequestRefused(f"The document has {count} {what}; the limit is {maximum}.")


def _count(selections: SelectionSetNode, counts: DocumentCounts) -> None:
    """Count aliases and directives in a selection set, without following fragment spreads."""
    for node in selections.selections:
        counts.directives += len(node.directives or ())
        if isinstance(node, FieldNode):
            counts.aliases += node.alias is not None
            counts.introspects |= node.name.value in {"__schema", "__type"}
        inner = getattr(node, "selection_set", None)
        if inner is not None:
            _count(inner, counts)


@dataclass(slots=True)
class _MergedSelections:
    """The selections of one object as execution merges them, from all places of the document.

    Validation compares every two selections of one field of one object, so its time grows with their square.
    """

    fragments: dict[str, FragmentDefinitionNode]
    seen: int = 0

    def check(self, sets: Sequence[SelectionSetNode]) -> None:
        """Raise `RequestRefused` when a field is selected too often, at this level or below."""
        repetitions: Counter[str] = Counter()
        below: dict[str, list[SelectionSetNode]] = {}
        for node in self.fields(sets, set()):
            name = node.alias.value if node.alias else node.name.value
            repetitions[name] += 1
            if node.selection_set is not None:
                below.setdefault(name, []).append(node.selection_set)
        _require_at_most("repetitions of one field", max(repetitions.values(), default=0), MAX_REPETITIONS)
        for inner in below.values():
            self.check(inner)

    def fields(self, sets: Sequence[SelectionSetNode], spread: set[str]) -> Iterator[FieldNode]:
        """The fields of some selection sets, through inline and named fragments, each named fragment once."""
        for node in (node for selections in sets for node in selections.selections):
            self.seen += 1
            if self.seen > MAX_SELECTIONS:
                raise RequestRefused(
                    f"The document has more than {MAX_SELECTIONS} selections when its fragments are spread."
                )
            if isinstance(node, FieldNode):
                yield node
            elif isinstance(node, InlineFragmentNode):
                yield from self.fields([node.selection_set], spread)
            elif isinstance(node, FragmentSpreadNode) and node.name.value not in spread:
                spread.add(node.name.value)
                fragment = self.fragments.get(node.name.value)
                if fragment is not None:
                    yield from self.fields([fragment.selection_set], spread)


def _depth(
    selections: SelectionSetNode,
    fragments: dict[str, FragmentDefinitionNode],
    depths: dict[str, int],
    path: tuple[str, ...],
) -> int:
    """Levels of fields in a selection set. Introspection counts as one level: a validation rule bounds it."""
    deepest = depth = 0
    for node in selections.selections:
        if isinstance(node, FieldNode):
            inner = node.selection_set
            plain = inner is None or node.name.value.startswith("__")
            depth = 1 if plain or inner is None else 1 + _depth(inner, fragments, depths, path)
        elif isinstance(node, InlineFragmentNode):
            depth = _depth(node.selection_set, fragments, depths, path)
        elif isinstance(node, FragmentSpreadNode):
            depth = _depth_of_fragment(node, fragments, depths, path)
        deepest = max(deepest, depth)
    return deepest


def _depth_of_fragment(
    node: FragmentSpreadNode,
    fragments: dict[str, FragmentDefinitionNode],
    depths: dict[str, int],
    path: tuple[str, ...],
) -> int:
    """The depth of a spread fragment, computed once; 0 for a missing or circular one, which validation refuses."""
    name = node.name.value
    if name in path or name not in fragments:
        return 0
    if name not in depths:
        depths[name] = _depth(fragments[name].selection_set, fragments, depths, (*path, name))
    return depths[name]
