"""A database that is restored, and read in the order in which it was written."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from models import metadata

if TYPE_CHECKING:
    import asyncpg


class WrittenRow(NamedTuple):
    """A row, with the transaction and the statement in it that wrote it last; `text` is JSON."""

    transaction: int
    statement: int
    text: str


@dataclass(frozen=True, slots=True)
class Database:
    """The tables of a database, read by its superuser, without policies and triggers."""

    connection: "asyncpg.Connection[asyncpg.Record]"

    async def save(self) -> None:
        """Copy all rows, for `restore`."""
        await self.connection.execute("CREATE SCHEMA backup")
        for table in metadata.tables:
            await self.connection.execute(f"CREATE TABLE backup.{table} AS TABLE public.{table}")

    async def restore(self) -> None:
        """Restore all rows, in one transaction."""
        await self.connection.execute(RESTORE)

    async def written(self) -> list[WrittenRow]:
        """Every row in the order of writing; the rows of one statement have no order."""
        return [WrittenRow(*record) for record in await self.connection.fetch(WRITTEN)]


def restoring(table: str) -> str:
    """The statements that restore a table."""
    columns = ", ".join(column.name for column in metadata.tables[table].columns if column.computed is None)
    return f"DELETE FROM public.{table}; INSERT INTO public.{table} ({columns}) SELECT {columns} FROM backup.{table};"  # noqa: S608 - names of our own tables


def reading(table: str) -> str:
    """The statement that reads a table."""
    row = f"jsonb_build_object('table', '{table}', 'row', to_jsonb(\"row\"))::text"
    return f'SELECT xmin::text::bigint, cmin::text::bigint, {row} FROM public.{table} AS "row"'  # noqa: S608 - the same


RESTORE = "\n".join(["SET LOCAL session_replication_role = replica;", *map(restoring, metadata.tables)])
WRITTEN = " UNION ALL ".join(map(reading, metadata.tables)) + " ORDER BY 1, 2"
