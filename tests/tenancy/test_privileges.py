"""The privileges on our objects, from the database's catalogue."""

import ast
import re
from collections.abc import Sequence
from pathlib import Path

import asyncpg
import pytest

from core import migration
from local.servers import create_database
from migrations import policies, sql
from models.base import Base
from tests.conftest import Servers, copy_template

ROOT = Path(__file__).parents[2]
# Every kind of object with an access list, except for row types of tables, which give no access to rows.
RIGHTS_OF_PUBLIC = """
WITH ours AS (SELECT oid FROM pg_namespace WHERE nspname IN ('public', 'system')),
objects (kind, name, acl) AS (
    SELECT 'function', p.oid::regprocedure::text, coalesce(p.proacl, acldefault('f', p.proowner))
    FROM pg_proc p WHERE p.pronamespace IN (SELECT oid FROM ours)
    UNION ALL
    SELECT 'relation', c.oid::regclass::text,
        coalesce(c.relacl, acldefault(CASE c.relkind WHEN 'S' THEN 's'::"char" ELSE 'r' END, c.relowner))
    FROM pg_class c WHERE c.relnamespace IN (SELECT oid FROM ours)
    UNION ALL
    SELECT 'column', c.oid::regclass || '.' || a.attname, a.attacl
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid WHERE c.relnamespace IN (SELECT oid FROM ours)
    UNION ALL
    SELECT 'schema', n.nspname, coalesce(n.nspacl, acldefault('n', n.nspowner))
    FROM pg_namespace n WHERE n.oid IN (SELECT oid FROM ours)
    UNION ALL
    SELECT 'type', t.typname, coalesce(t.typacl, acldefault('T', t.typowner))
    FROM pg_type t WHERE t.typnamespace IN (SELECT oid FROM ours) AND t.typelem = 0
    AND NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = t.typrelid AND c.relkind <> 'c')
    UNION ALL
    SELECT 'database', d.datname, coalesce(d.datacl, acldefault('d', d.datdba))
    FROM pg_database d WHERE d.datname = current_database()
)
SELECT DISTINCT kind, name FROM objects CROSS JOIN LATERAL aclexplode(acl) AS granted
WHERE granted.grantee = 0 ORDER BY kind, name
"""
RIGHTS_IN_SCHEMAS = """
SELECT n.nspname, a.grantee::regrole::text, a.privilege_type FROM pg_namespace n, aclexplode(n.nspacl) a
WHERE n.nspname IN ('public', 'system') AND a.grantee NOT IN (n.nspowner, 'nudge_migrator'::regrole) ORDER BY 1, 2, 3
"""
RIGHTS_OF_THE_APP = """
SELECT p.proname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname IN ('public', 'system') AND has_function_privilege('nudge_app', p.oid, 'EXECUTE') ORDER BY 1
"""
EVERY_KIND = ("FUNCTIONS", "TYPES", "TABLES", "SEQUENCES", "SCHEMAS")


ROOMS = ("core", "services", "jobs", "resolvers", "routes")


def called_functions() -> list[str]:
    """The functions of the schema `system` that the product's statements call."""
    text = "".join(path.read_text() for room in ROOMS for path in (ROOT / room).rglob("*.py"))
    return sorted(set(re.findall(r"\bfunc\.system\.(\w+)\(", text)))


def deleted_from() -> set[str]:
    """The tables of the product's DELETE statements, by SQLAlchemy's `delete`, under any name."""
    tables = {mapper.class_.__name__: mapper.class_.__tablename__ for mapper in Base.registry.mappers}
    names = set()
    for path in (path for room in ROOMS for path in (ROOT / room).rglob("*.py")):
        nodes = list(ast.walk(ast.parse(path.read_text())))
        imported = [
            alias.asname or alias.name
            for node in nodes
            if isinstance(node, ast.ImportFrom) and node.module == "sqlalchemy"
            for alias in node.names
            if alias.name == "delete"
        ]
        for node in nodes:
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in imported:
                (of,) = node.args
                assert isinstance(of, ast.Name), f"{path}: which table does line {node.lineno} delete from?"
                names.add(tables[of.id])
    return names


async def rows_of(servers: Servers, database: str, statement: str) -> Sequence[asyncpg.Record]:
    """The rows of a statement of the superuser, who sees every privilege."""
    connection = await asyncpg.connect(servers.database_url(servers.postgres.admin_url, database))
    try:
        return await connection.fetch(statement)
    finally:
        await connection.close()


async def new_database(servers: Servers, name: str) -> str:
    """A new database of the migrator; its URL for the migrator."""
    await create_database(servers.postgres.admin_url, name)
    return servers.database_url(servers.postgres.migrator_url, name)


def warnings(servers: Servers, database: str, start: int) -> list[str]:
    """The warnings of PostgreSQL in this database since an offset of its log."""
    log = (servers.home / "logs" / "postgres.log").read_text(encoding="utf-8")[start:]
    return [line for line in log.splitlines() if f"@{database} WARNING:" in line]


def log_size(servers: Servers) -> int:
    """The current size of PostgreSQL's log."""
    return len((servers.home / "logs" / "postgres.log").read_text(encoding="utf-8"))


async def check_privileges(servers: Servers, database: str) -> None:
    """PUBLIC has no privilege on any of our objects, and the app may execute exactly the functions that it calls."""
    assert [tuple(row) for row in await rows_of(servers, database, RIGHTS_OF_PUBLIC)] == []
    assert [row[0] for row in await rows_of(servers, database, RIGHTS_OF_THE_APP)] == called_functions()


async def test_public_has_no_privileges_and_the_app_executes_what_it_calls(servers: Servers) -> None:
    """After all migrations: on functions, tables, columns, sequences, schemas, types and the database."""
    assert len(called_functions()) > 8
    await check_privileges(servers, await copy_template(servers))


def test_the_app_may_delete_only_where_a_statement_does() -> None:
    """DELETE is granted only on tables with a statement that needs it."""
    may = {table for table, security in policies.declared().items() if "DELETE" in (security.app or "")}
    assert may == deleted_from()
    assert {"contacts", "campaigns", "templates"} <= may


def test_the_definer_may_delete_only_where_a_function_does() -> None:
    """The same for the functions that read several organizations."""
    may = {table for table, security in policies.declared().items() if "DELETE" in security.definer}
    texts = "".join(path.read_text() for path in sql.FOLDER.glob("*.sql"))
    assert may == set(re.findall(r"DELETE FROM (\w+)", texts))
    assert len(may) > 4


async def test_no_other_role_has_privileges_on_our_schemas(servers: Servers) -> None:
    """The app may use both schemas and create in neither; the definer, which cannot log in, owns functions there."""
    privileges = [tuple(row) for row in await rows_of(servers, await copy_template(servers), RIGHTS_IN_SCHEMAS)]
    assert privileges == [
        ("public", "nudge_app", "USAGE"),
        ("public", "nudge_definer", "CREATE"),
        ("public", "nudge_definer", "USAGE"),
        ("system", "nudge_app", "USAGE"),
        ("system", "nudge_definer", "CREATE"),
        ("system", "nudge_definer", "USAGE"),
    ]


async def test_migrating_raises_no_warning_and_keeps_default_privileges(servers: Servers) -> None:
    """A GRANT or REVOKE without effect would only be a WARNING in PostgreSQL's log."""
    url, start = await new_database(servers, "nudge_plain"), log_size(servers)
    await migration.upgrade(url)
    assert warnings(servers, "nudge_plain", start) == []
    await check_privileges(servers, "nudge_plain")


@pytest.mark.parametrize("scope", ["", "IN SCHEMA public"])
async def test_migrating_where_default_privileges_are_revoked(servers: Servers, scope: str) -> None:
    """On a server where PUBLIC gets no privileges on new objects, every migration works, with the same result."""
    name = f"nudge_hardened_{len(scope)}"
    url = await new_database(servers, name)
    for kind in EVERY_KIND:
        if not (scope and kind == "SCHEMAS"):
            revoke = f"ALTER DEFAULT PRIVILEGES FOR ROLE nudge_migrator, nudge_definer {scope} REVOKE ALL ON {kind}"
            await rows_of(servers, name, f"{revoke} FROM PUBLIC")
    start = log_size(servers)
    await migration.upgrade(url)
    assert warnings(servers, name, start) == []
    await check_privileges(servers, name)


@pytest.mark.parametrize("role", ["nudge_migrator", "nudge_definer"])
async def test_public_may_not_execute_a_new_function(servers: Servers, role: str) -> None:
    """A later migration without a REVOKE grants nothing, whichever role owns the function."""
    name = await copy_template(servers)
    migrator = await asyncpg.connect(
        servers.database_url(servers.postgres.migrator_url, name).replace("+asyncpg", "", 1)
    )
    try:
        await migrator.execute(f"SET ROLE {role}")
        await migrator.execute("CREATE FUNCTION system.without_revoke() RETURNS integer LANGUAGE sql AS 'SELECT 1'")
    finally:
        await migrator.close()
    assert [tuple(row) for row in await rows_of(servers, name, RIGHTS_OF_PUBLIC)] == []
