"""`make migration name="Archive campaigns"`: write a migration for changes of the models and functions.

It compares them with a temporary database to which all migrations were applied. Alembic writes tables, columns,
indexes and constraints; this module adds policies of new tables, and functions. It prints the rest, to be written by
hand.
"""

import asyncio
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

from alembic import command
from alembic.autogenerate.api import AutogenContext
from alembic.autogenerate.render import renderers
from alembic.operations import Operations
from alembic.operations.ops import CreateTableOp, ExecuteSQLOp, MigrateOperation, MigrationScript, OpContainer
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection
from sqlalchemy.engine import make_url

from core import migration, revisions
from local.servers import create_database, create_roles, start_postgres
from migrations import drift, policies, sql

ROOT = Path(__file__).parent.parent
MAX_REVISION_LENGTH = 32  # of Alembic's column


class LoadFunction(MigrateOperation):
    """A call of `sql.load` in a migration."""

    def __init__(self, name: str, digest: str) -> None:
        self.name, self.digest = name, digest


@renderers.dispatch_for(LoadFunction)
def render(context: AutogenContext, loaded: LoadFunction) -> str:
    """Render the call as Python."""
    context.imports.add("from migrations import sql")
    return f'sql.load("{loaded.name}", "{loaded.digest}")'


def main() -> None:
    """Write the migration, and print what must be written by hand."""
    message = " ".join(sys.argv[1:]).strip()
    if not message:
        sys.exit('Name what it does: make migration name="Archive campaigns"')
    with TemporaryDirectory() as home:
        path, open_differences = asyncio.run(write(message, Path(home)))
    without_marks = re.sub(r" +# ### .*\n", "", path.read_text(encoding="utf-8"))  # "please adjust!"
    path.write_text(without_marks, encoding="utf-8")
    for step in (("check", "--fix-only"), ("format",)):
        subprocess.run([sys.executable, "-m", "ruff", *step, "-q", path], cwd=ROOT, check=True)  # noqa: S603 - ours
    sys.stdout.write(f"Wrote {path.relative_to(ROOT)}: read it, as Alembic sees no rename.\n")
    for sentence in open_differences:
        sys.stdout.write(f"To write by hand: {sentence}\n")


async def write(message: str, home: Path) -> tuple[Path, list[str]]:
    """Write the script with a temporary server in the folder; returns its path, and what it does not contain."""
    postgres = start_postgres(home, durable=False)
    try:
        await create_roles(
            postgres.admin_url,
            migrator_password=make_url(postgres.migrator_url).password,
            app_password=make_url(postgres.app_url).password,
        )
        await create_database(postgres.admin_url)
        changed = await migrated(postgres.migrator_url)
        return await migration.as_migrator(
            postgres.migrator_url, lambda connection: script(connection, message, changed)
        )
    finally:
        postgres.stop()


async def migrated(url: str) -> dict[str, str]:
    """Migrate the database; returns the functions whose files have changed, with the digest that migrations load.

    Their previous text, from the last commit, is stored as superseded.
    """
    changed: dict[str, str] = {}
    while True:
        try:
            await migration.upgrade(url)
        except sql.FunctionChanged as error:
            if not supersede(error.name, error.digest):
                raise
            changed[error.name] = error.digest
        else:
            return changed


def supersede(name: str, digest: str) -> bool:
    """Store the text of the last commit as superseded; False if it does not have the digest."""
    path = (sql.FOLDER / f"{name}.sql").relative_to(ROOT)
    command_line = ["git", "show", f"HEAD:{path}"]
    process = subprocess.run(command_line, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    if process.returncode != 0 or sql.digest_of(process.stdout) != digest:
        return False
    sql.SUPERSEDED.mkdir(exist_ok=True)
    (sql.SUPERSEDED / f"{name}.{digest}.sql").write_text(process.stdout, encoding="utf-8")
    return True


def script(connection: Connection, message: str, changed: Mapping[str, str]) -> tuple[Path, list[str]]:
    """Write the script by Alembic, with our additions; returns its path, and the unresolved differences."""
    open_differences: list[str] = []

    def add(context: MigrationContext, _: object, scripts: list[MigrationScript]) -> None:
        up, down = scripts[0].upgrade_ops, scripts[0].downgrade_ops
        if up is None or down is None or context.connection is None:
            raise AssertionError("Alembic passes both, and our connection")
        for each in leaves(up.ops):
            Operations(context).invoke(each)
        different = drift.differences(context.connection)
        tables = [each.table_name for each in up.ops if isinstance(each, CreateTableOp)]
        new = [name for name in sql.current() if name not in changed and _lacks(different, name)]
        extend(up.ops, down.ops, tables=tables, changed=changed, new=new)
        open_differences.extend(
            each.sentence for each in different if not _is_resolved(each, {*changed, *new}, tables)
        )

    written = command.revision(
        migration.config(connection),
        message=message,
        autogenerate=True,
        rev_id=revision_id(message, datetime.now(UTC).date()),
        process_revision_directives=cast("Any", add),
    )
    return Path(cast("Any", written).path), open_differences


def leaves(operations: Iterable[MigrateOperation]) -> Iterator[MigrateOperation]:
    """The operations without their containers, so that they can be invoked."""
    for each in operations:
        yield from leaves(each.ops) if isinstance(each, OpContainer) else [each]


def extend(
    up: list[MigrateOperation],
    down: list[MigrateOperation],
    *,
    tables: Iterable[str],
    changed: Mapping[str, str],
    new: Iterable[str],
) -> None:
    """Add what Alembic does not know: functions, and then policies of new tables, which may call them."""
    current, declared = sql.current(), policies.declared()
    up += [LoadFunction(name, current[name]) for name in (*changed, *new) if name in current]
    up += [ExecuteSQLOp(line) for table in tables for line in policies.statements(table, declared[table])]
    down[:0] = [
        *(ExecuteSQLOp(f"DROP FUNCTION system.{name}") for name in new),
        *(LoadFunction(name, digest) for name, digest in changed.items()),
    ]


def revision_id(message: str, today: date) -> str:
    """The day and the name, later than every existing revision, as `core.revisions` compares them."""
    slug = re.sub(r"[^a-z0-9]+", "_", message.lower()).strip("_")
    head = revisions.head()
    day = max(today, datetime.strptime(head[:10], "%Y_%m_%d").replace(tzinfo=UTC).date())
    revision = f"{day:%Y_%m_%d}_{slug}"
    if revision <= head:
        revision = f"{day + timedelta(days=1):%Y_%m_%d}_{slug}"
    return revision[:MAX_REVISION_LENGTH].rstrip("_")


def _lacks(different: list[drift.Difference], function: str) -> bool:
    return any(each.found is None and each.name.startswith(f"system.{function}(") for each in different)


def _makes_trigger(function: str, trigger: str) -> bool:
    path = sql.FOLDER / f"{function}.sql"
    name = re.escape(trigger.partition(" on ")[0])
    return path.exists() and re.search(rf"\bTRIGGER {name}\b", path.read_text(encoding="utf-8")) is not None


def _is_resolved(difference: drift.Difference, functions: set[str], tables: list[str]) -> bool:
    if difference.kind == drift.FUNCTION:
        return difference.name.partition("(")[0].removeprefix("system.") in functions
    if difference.kind == drift.TRIGGER:
        return difference.wanted is not None and any(_makes_trigger(each, difference.name) for each in functions)
    if difference.kind == drift.STATISTICS:
        return False  # Alembic does not create any, nor for new tables
    return difference.name.rpartition(" on ")[2].partition(" ")[0] in tables  # of a column: "table (column)"


if __name__ == "__main__":
    main()
