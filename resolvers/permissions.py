"""The permission of each root field of the API, and the matrix of roles, as tables to print."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from strawberry.types import get_object_definition
from strawberry.utils.str_converters import to_camel_case

from core.access.matrix import MATRIX
from core.access.permissions import Permission, Role
from resolvers import ROOTS
from resolvers.fields import AccessRule, Requires
from resolvers.nodes import NODE_TYPES

Rows = list[Sequence[str]]


class RootField(NamedTuple):
    """A root field by its name in the API, and its permission; None for a public one."""

    name: str
    permission: Permission | None


def access_rules_of(root: type) -> dict[str, list[AccessRule]]:
    """The rules of each field of a root type, by the field's name in the API."""
    fields = get_object_definition(root, strict=True).fields
    return {
        to_camel_case(field.name): [each for each in field.extensions if isinstance(each, AccessRule)]
        for field in fields
    }


def root_fields() -> Iterator[RootField]:
    """Every field of the roots."""
    for root in ROOTS:
        for name, (rule,) in access_rules_of(root).items():
            yield RootField(name, rule.permission if isinstance(rule, Requires) else None)


def _matrix_rows() -> Rows:
    """For each resource, the verbs of each role and the largest set that Maya may have."""
    columns = (*Role, "maya")
    rows: Rows = [("Resource", *(column.capitalize() for column in columns), "What it is")]
    for name, resource in MATRIX.items():
        rows.append((name, *(", ".join(resource.verbs(column)) or "-" for column in columns), resource.about))
    return rows


def _field_rows() -> Rows:
    """The types of `node(id)` and the root fields that require each permission, and those that require none."""
    fields = sorted(root_fields(), key=lambda field: field.name)
    rows: Rows = [("Permission", "Types of node(id)", "Root fields")]
    for permission in (*Permission, None):
        types = sorted(kind.name for kind in NODE_TYPES.values() if kind.permission is permission)
        names = [field.name for field in fields if field.permission is permission]
        rows.append((permission or "(none)", ", ".join(types) or "-", ", ".join(names) or "-"))
    return rows


def text(*, markdown: bool = False) -> str:
    """Both tables."""
    form = _in_markdown if markdown else _in_columns
    return f"{form(_matrix_rows())}\n\n{form(_field_rows())}"


def _in_columns(rows: Rows) -> str:
    """A table with aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def _in_markdown(rows: Rows) -> str:
    """A table in Markdown."""
    head, *body = rows
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *body))
