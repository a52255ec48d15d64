"""The actions that each mutation declares for the audit log."""

from graphql import GraphQLSchema

from resolvers import build_schema
from resolvers.fields import Audit, Unaudited, audit_of


def declared_audit(schema: GraphQLSchema) -> dict[str, Audit]:
    """The declaration of every mutation, by its name."""
    root = schema.mutation_type
    return {name: audit_of(field) for name, field in root.fields.items()} if root else {}


def table() -> str:
    """A Markdown table of every mutation: its name, and its actions or the reason why it has none."""
    declared = declared_audit(build_schema()._schema)  # noqa: SLF001 - strawberry has no public name for the core schema
    lines = [f"| `{name}` | {_cell(audit)} |" for name, audit in sorted(declared.items())]
    return "\n".join(["| mutation | actions |", "| --- | --- |", *lines])


def _cell(audit: Audit) -> str:
    """The second column."""
    return f"None. {audit.reason}" if isinstance(audit, Unaudited) else ", ".join(f"`{action}`" for action in audit)
