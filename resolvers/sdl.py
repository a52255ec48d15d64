"""The schema as text, and what a change of it would break for clients."""

from graphql import build_schema as schema_of
from graphql.utilities import find_breaking_changes

from resolvers import build_schema


def export() -> str:
    """The SDL of this version, as `schema.graphql` has it; ends with a newline."""
    return build_schema().as_str().rstrip() + "\n"


def breaking_changes(old: str, new: str) -> list[str]:
    """What clients written against the old SDL could meet in the new one, each in a sentence."""
    return [change.description for change in find_breaking_changes(schema_of(old), schema_of(new))]
