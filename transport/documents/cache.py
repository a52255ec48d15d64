"""Parsed, limited and validated documents, cached by their text: a repeated document goes straight to execution."""

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
from transport.documents.cost_analysis import analyze, protected_field
from transport.documents.costs import CostNode, requested
from transport.documents.limits import check_document
from transport.documents.variables import VariableUse, variable_uses
from transport.errors import RequestRefused

MAX_DOCUMENTS = 1_000
MAX_CHARACTERS = 300_000  # a parsed document takes about a hundred bytes for each
MAX_CACHED_LENGTH = 20_000
CHARACTERS_PER_POINT = 40
MAX_ERRORS = 10
RULES = (*specified_rules, *recommended_rules, MaybeNullValidationRule, OneOfInputValidationRule)


class DocumentInvalid(Exception):
    """The document does not parse or does not fit the schema; `errors` say where."""

    def __init__(self, errors: list[GraphQLError]) -> None:
        super().__init__(errors[0].message)
        self.errors = errors


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedOperation:
    """One operation of a document, ready to run.

    `protected_field` is its first root field when every root field needs an authenticated caller, else None.
    `max_cost` is its maximum cost, None if that depends on variables.
    """

    document: DocumentNode
    name: str | None
    kind: OperationType
    cost_nodes: tuple[CostNode, ...]
    max_cost: int | None
    introspects: bool
    variable_uses: dict[str, VariableUse]
    protected_field: FieldNode | None


Document = dict[str | None, PreparedOperation]


class DocumentCache:
    """Prepares documents and caches the 1,000 last used: at most 300,000 characters, none longer than 20,000."""

    def __init__(self, schema: GraphQLSchema, settings: GraphQLSettings) -> None:
        self.schema = schema
        self.settings = settings
        self.entries: OrderedDict[str, Document] = OrderedDict()
        self.characters = 0

    def parse_cost(self, text: str) -> int:
        """Points for parsing a document: 1 for each 40 characters, 0 when it is cached."""
        return 0 if text in self.entries else len(text) // CHARACTERS_PER_POINT

    def operation(self, text: str, name: str | None) -> PreparedOperation:
        """The operation of that name, or the only one; raises `DocumentInvalid` or `RequestRefused`."""
        document = self.entries.get(text)
        if document is None:
            document = self._prepare(text)
            self._store(text, document)
        else:
            self.entries.move_to_end(text)
        if name is None:
            if len(document) > 1:
                raise RequestRefused("The document has several operations: name one with `operationName`.")
            return next(iter(document.values()))
        if name not in document:
            raise RequestRefused(f"The document has no operation named {name[:80]!r}.")
        return document[name]

    def _prepare(self, text: str) -> Document:
        """Parse, limit, validate and cost a document."""
        try:
            parsed = parse(text, max_tokens=self.settings.max_tokens, allow_empty_selection_sets=False)
            counts = check_document(parsed, self.settings)
            errors = validate(self.schema, parsed, RULES, max_errors=MAX_ERRORS)
        except GraphQLError as error:
            raise DocumentInvalid([error]) from None
        except RecursionError:
            raise RequestRefused("The document is nested too deeply.") from None
        if errors:
            raise DocumentInvalid(errors)
        fragments = {node.name.value: node for node in parsed.definitions if isinstance(node, FragmentDefinitionNode)}
        operations = [
            self._prepare_operation(parsed, node, fragments, introspects=counts.introspects)
            for node in parsed.definitions
            if isinstance(node, OperationDefinitionNode)
        ]
        return {operation.name: operation for operation in operations}

    def _prepare_operation(
        self,
        document: DocumentNode,
        node: OperationDefinitionNode,
        fragments: dict[str, FragmentDefinitionNode],
        *,
        introspects: bool,
    ) -> PreparedOperation:
        nodes = analyze(self.schema, node, fragments, max_nodes=self.settings.max_cost)
        return PreparedOperation(
            document=document,
            name=node.name.value if node.name else None,
            kind=node.operation,
            cost_nodes=nodes,
            max_cost=None if any(each.has_variable_size for each in nodes) else requested(nodes, {}),
            introspects=introspects,
            variable_uses=variable_uses(node, fragments),
            protected_field=protected_field(self.schema, node, fragments),
        )

    def _store(self, text: str, document: Document) -> None:
        """Cache a document unless it is very long, and evict the least recently used ones above the limits."""
        if len(text) > MAX_CACHED_LENGTH:
            return
        self.entries[text] = document
        self.characters += len(text)
        while len(self.entries) > MAX_DOCUMENTS or self.characters > MAX_CHARACTERS:
            oldest, _ = self.entries.popitem(last=False)
            self.characters -= len(oldest)
