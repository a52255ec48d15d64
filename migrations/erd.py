"""The models' tables as entity-relationship diagrams in Mermaid: `nudge erd` prints what docs/erd.md has."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from sqlalchemy import Column, ForeignKeyConstraint, Table, UniqueConstraint
from sqlalchemy.dialects import postgresql

from models import Base, metadata

ORGANIZATIONS: Final = "organizations"
DIALECT: Final = postgresql.dialect()  # type: ignore[no-untyped-call]
NAMES: Final = {"TIMESTAMP WITH TIME ZONE": "timestamptz"}


def text() -> str:
    """The overview of all tables with their references, then the tables of each module of `models/` with columns."""
    parts = ["## All tables", _overview()]
    for noun, tables in _by_noun().items():
        parts += [f"## {noun.replace('_', ' ').capitalize()}", _diagram(_with_columns(tables))]
    return "\n\n".join(parts)


def _by_noun() -> dict[str, list[Table]]:
    tables_of: dict[str, list[Table]] = {}
    for mapper in sorted(Base.registry.mappers, key=lambda each: each.class_.__module__):
        table = mapper.local_table
        if isinstance(table, Table):
            tables_of.setdefault(mapper.class_.__module__.removeprefix("models."), []).append(table)
    return {noun: sorted(tables, key=lambda table: table.name) for noun, tables in tables_of.items()}


def _overview() -> str:
    tables = sorted(metadata.tables.values(), key=lambda table: table.name)
    references = [line for table in tables for line in _references(table, to_organizations=False)]
    return _diagram([*(table.name for table in tables), *references])


def _with_columns(tables: Sequence[Table]) -> Iterator[str]:
    for table in tables:
        yield f"{table.name} {{"
        for column in table.columns:
            yield f"    {_column(table, column)}"
        yield "}"
    for table in tables:
        yield from _references(table, to_organizations=True)


def _column(table: Table, column: Column[object]) -> str:
    kind = column.type.compile(DIALECT)
    unique = any(isinstance(each, UniqueConstraint) and list(each.columns) == [column] for each in table.constraints)
    keys = [key for key, holds in (("PK", column.primary_key), ("FK", column.foreign_keys), ("UK", unique)) if holds]
    note = ' "null"' if column.nullable else ""
    return f"{NAMES.get(kind, kind.lower())} {column.name} {', '.join(keys)}".rstrip() + note


def _references(table: Table, *, to_organizations: bool) -> Iterator[str]:
    """A line for each foreign key; its label is its columns, without the organization that both rows share."""
    for key in sorted(table.foreign_key_constraints, key=lambda each: list(each.column_keys)):
        target = key.referred_table.name
        if target == ORGANIZATIONS and not to_organizations:
            continue
        own = [name for name in key.column_keys if name != "organization_id"] or ["organization_id"]
        yield f'{target} {_ends(table, key)} {table.name} : "{", ".join(own)}"'


def _ends(table: Table, key: ForeignKeyConstraint) -> str:
    """Mermaid's cardinalities: one or at most one referenced row; any number or at most one referencing row."""
    optional = any(column.nullable for column in key.columns)
    primary = {column.name for column in table.primary_key.columns}
    at_most_one = primary == {column.name for column in key.columns}
    return f"{'|o' if optional else '||'}--{'o|' if at_most_one else 'o{'}"


def _diagram(lines: Iterable[str]) -> str:
    return "\n".join(["```mermaid", "erDiagram", *(f"    {line}" for line in lines), "```"])
