"""Limits that a document keeps or breaks whatever its variables; checked once, before validation."""

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
from transport.errors import Refused

MOST_REPEATS = 30
MOST_MERGED = 20_000
MAX_NUMBER_CHARACTERS = 1_000
"""Far more than any number that GraphQL or JSON carries; Python itself reads no integer of over 4,300 digits."""


@dataclass(slots=True)
class Tally:
    """What was counted in a document so far."""

    aliases: int = 0
    directives: int = 0
    introspects: bool = False


def check_document(document: DocumentNode, settings: GraphQLSettings) -> Tally:
    """Count depth, aliases, directives and repeated fields; raise `Refused` with the limit that is broken."""
    check_numbers(document)
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
    merging = Merging(fragments)
    for definition in document.definitions:
        if isinstance(definition, OperationDefinitionNode | FragmentDefinitionNode):
            merging.check([definition.selection_set])
    return tally


def check_numbers(document: DocumentNode) -> None:
    """Raise `Refused` for a number written in more than 1,000 characters, wherever in the document it stands."""
    token = document.loc.start_token if document.loc else None
    while token is not None:
        if token.kind in {TokenKind.INT, TokenKind.FLOAT} and len(token.value or "") > MAX_NUMBER_CHARACTERS:
            raise Refused(
                f"The number at line {token.line}, column {token.column} has more than {MAX_NUMBER_CHARACTERS} "
                "characters.",
                suggestion="An Int has 32 bits, a Float 64; send anything longer as a string.",
            )
        token = token.next


def limit(what: str, found: int, most: int) -> None:
    """Raise `Refused` when there are too many."""
    if found > most:
        raise Refused(f"The document has {found} {what}; the limit is {most}.")


def count(selections: SelectionSetNode, tally: Tally) -> None:
    """Count what is written in a selection set, without following fragments."""
    for node in selections.selections:
        tally.directives += len(node.directives or ())
        if isinstance(node, FieldNode):
            tally.aliases += node.alias is not None
            tally.introspects |= node.name.value in {"__schema", "__type"}
        inner = getattr(node, "selection_set", None)
        if inner is not None:
            count(inner, tally)


@dataclass(slots=True)
class Merging:
    """Selections as execution merges them: what one object is asked for, wherever in the document it stands.

    Validation compares every two selections of one field of one object, so it takes time by the square of them.
    """

    fragments: dict[str, FragmentDefinitionNode]
    seen: int = 0

    def check(self, sets: Sequence[SelectionSetNode]) -> None:
        """Raise `Refused` when a field is repeated too often, here or below."""
        found: Counter[str] = Counter()
        below: dict[str, list[SelectionSetNode]] = {}
        for node in self.fields(sets, set()):
            name = node.alias.value if node.alias else node.name.value
            found[name] += 1
            if node.selection_set is not None:
                below.setdefault(name, []).append(node.selection_set)
        limit("repetitions of one field", max(found.values(), default=0), MOST_REPEATS)
        for inner in below.values():
            self.check(inner)

    def fields(self, sets: Sequence[SelectionSetNode], spread: set[str]) -> Iterator[FieldNode]:
        """The fields of some selection sets, through inline and named fragments, each named one once."""
        for node in (node for selections in sets for node in selections.selections):
            self.seen += 1
            if self.seen > MOST_MERGED:
                raise Refused(f"The document has more than {MOST_MERGED} selections when its fragments are spread.")
            if isinstance(node, FieldNode):
                yield node
            elif isinstance(node, InlineFragmentNode):
                yield from self.fields([node.selection_set], spread)
            elif isinstance(node, FragmentSpreadNode) and node.name.value not in spread:
                spread.add(node.name.value)
                fragment = self.fragments.get(node.name.value)
                if fragment is not None:
                    yield from self.fields([fragment.selection_set], spread)


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
