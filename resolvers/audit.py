"""What each mutation writes to the audit log, as the mutations declare it."""

from graphql import GraphQLSchema

from resolvers import build_schema
from resolvers.fields import Audit, Unaudited, audit_of


def declared_audit(schema: GraphQLSchema) -> dict[str, Audit]:
    """The declaration of every mutation, by its name."""
    root = schema.mutation_type
    return {name: audit_of(field) for name, field in root.fields.items()} if root else {}


def table() -> str:
    """Every mutation as a Markdown table: its name, its actions or why it has none."""
    declared = declared_audit(build_schema()._schema)  # noqa: SLF001 - Strawberry has no other way to it
    lines = [f"| `{name}` | {cell(audit)} |" for name, audit in sorted(declared.items())]
    return "\n".join(["| mutation | actions |", "| --- | --- |", *lines])


def cell(audit: Audit) -> str:
    """The second column."""
    return f"None. {audit.reason}" if isinstance(audit, Unaudited) else ", ".join(f"`{action}`" for action in audit)
