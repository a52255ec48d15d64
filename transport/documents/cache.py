"""Parsed, limited and validated documents, kept by their text: a client's second request starts at execution."""

from collections import OrderedDict
from dataclasses import dataclass

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    parse,
    specified_rules,
    validate,
)
from graphql.validation import recommended_rules
from strawberry.schema.validation_rules.maybe_null import MaybeNullValidationRule
from strawberry.schema.validation_rules.one_of import OneOfInputValidationRule

from core.http.settings import GraphQLSettings
from transport.documents.costs import Part, requested
from transport.documents.limits import check_document
from transport.documents.planning import guarded_root, plan
from transport.documents.variables import Use, uses_of
from transport.errors import Refused

MOST_DOCUMENTS = 1_000
MOST_CHARACTERS = 300_000  # a parsed document takes about a hundred bytes for each
LONGEST_KEPT = 20_000
CHARACTERS_PER_POINT = 40
MOST_ERRORS = 10
RULES = (*specified_rules, *recommended_rules, MaybeNullValidationRule, OneOfInputValidationRule)


class DocumentInvalid(Exception):
    """The document does not parse or does not fit the schema; `errors` say where."""

    def __init__(self, errors: list[GraphQLError]) -> None:
        super().__init__(errors[0].message)
        self.errors = errors


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One operation of a document, ready to run.

    `guarded` is its first field when every root field needs an authenticated caller. `cost` is the most that it can
    cost, where no variable has a say in that.
    """

    document: DocumentNode
    name: str | None
    kind: OperationType
    parts: tuple[Part, ...]
    cost: int | None
    introspects: bool
    uses: dict[str, Use]
    guarded: FieldNode | None


Document = dict[str | None, Operation]


class Documents:
    """Prepares documents and keeps the newest 1,000: at most 300,000 characters, none longer than 20,000."""

    def __init__(self, schema: GraphQLSchema, settings: GraphQLSettings) -> None:
        self.schema = schema
        self.settings = settings
        self.kept: OrderedDict[str, Document] = OrderedDict()
        self.characters = 0

    def reading_cost(self, text: str) -> int:
        """Points for reading a document that is not known yet: 1 for each 40 characters, 0 for one that is."""
        return 0 if text in self.kept else len(text) // CHARACTERS_PER_POINT

    def operation(self, text: str, name: str | None) -> Operation:
        """The operation of that name, or the only one; raises `DocumentInvalid` or `Refused`."""
        document = self.kept.get(text)
        if document is None:
            document = self.prepare(text)
            self.keep(text, document)
        else:
            self.kept.move_to_end(text)
        if name is None:
            if len(document) > 1:
                raise Refused("The document has several operations: name one with `operationName`.")
            return next(iter(document.values()))
        if name not in document:
            raise Refused(f"The document has no operation named {name[:80]!r}.")
        return document[name]

    def prepare(self, text: str) -> Document:
        """Parse, limit, validate and plan a document."""
        try:
            parsed = parse(text, max_tokens=self.settings.max_tokens, allow_empty_selection_sets=False)
            tally = check_document(parsed, self.settings)
            problems = validate(self.schema, parsed, RULES, max_errors=MOST_ERRORS)
        except GraphQLError as error:
            raise DocumentInvalid([error]) from None
        except RecursionError:
            raise Refused("The document is nested too deeply.") from None
        if problems:
            raise DocumentInvalid(problems)
        fragments = {node.name.value: node for node in parsed.definitions if isinstance(node, FragmentDefinitionNode)}
        operations = [
            self.planned(parsed, node, fragments, introspects=tally.introspects)
            for node in parsed.definitions
            if isinstance(node, OperationDefinitionNode)
        ]
        return {operation.name: operation for operation in operations}

    def planned(
        self,
        document: DocumentNode,
        node: OperationDefinitionNode,
        fragments: dict[str, FragmentDefinitionNode],
        *,
        introspects: bool,
    ) -> Operation:
        """An operation of a validated document, with what is known of it before its variables are."""
        parts = plan(self.schema, node, fragments, most=self.settings.max_cost)
        return Operation(
            document=document,
            name=node.name.value if node.name else None,
            kind=node.operation,
            parts=parts,
            cost=None if any(part.varies for part in parts) else requested(parts, {}),
            introspects=introspects,
            uses=uses_of(node, fragments),
            guarded=guarded_root(self.schema, node, fragments),
        )

    def keep(self, text: str, document: Document) -> None:
        """Remember a document unless it is very long, and forget the ones that were not asked for the longest."""
        if len(text) > LONGEST_KEPT:
            return
        self.kept[text] = document
        self.characters += len(text)
        while len(self.kept) > MOST_DOCUMENTS or self.characters > MOST_CHARACTERS:
            oldest, _ = self.kept.popitem(last=False)
            self.characters -= len(oldest)
