"""Schema drift: how a database differs from the models and the files of its functions.

The declared objects are created in a transaction, the system catalog is compared with its contents before, and the
transaction is rolled back; so both sides are PostgreSQL's own definitions. Privileges on schemas and default
privileges are checked by `tests/tenancy/test_privileges.py` instead. It locks every table, so it is for tests and for
`make migration`, not for a database in use.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, text

from migrations import policies, sql
from models.base import Base
from models.row_security import RowSecurity

FUNCTION, TRIGGER, STATISTICS = "function", "trigger", "statistics"
_SOURCES = {
    FUNCTION: "migrations/functions/",
    TRIGGER: "migrations/functions/",
    "policy": "the models' __row_security__",
    "security": "the models' __row_security__",
    "privileges": "the models' __row_security__",
}
# Kind, name and definition of each object. Access lists are sorted, as their order is that of the grants.
_CATALOGUE = text(
    """
    SELECT 'function', p.oid::regprocedure::text, pg_get_functiondef(p.oid)
        || format(E'owner %s\nmay execute: %s', p.proowner::regrole, (SELECT string_agg(a::text, ' ' ORDER BY a::text)
            FROM unnest(coalesce(p.proacl, acldefault('f', p.proowner))) a))
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = 'system'
    UNION ALL
    SELECT 'trigger', format('%s on %s', t.tgname, t.tgrelid::regclass), pg_get_triggerdef(t.oid)
    FROM pg_trigger t WHERE NOT t.tgisinternal
    UNION ALL
    SELECT 'policy', format('%s on %s', p.polname, p.polrelid::regclass),
        format('permissive %s, for %s to %s using (%s) with check (%s)', p.polpermissive, p.polcmd,
            array(SELECT r::regrole FROM unnest(p.polroles) r ORDER BY r), pg_get_expr(p.polqual, p.polrelid),
            pg_get_expr(p.polwithcheck, p.polrelid))
    FROM pg_policy p
    UNION ALL
    SELECT 'security', c.oid::regclass::text,
        format('enabled %s, forced %s', c.relrowsecurity, c.relforcerowsecurity)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p')
    UNION ALL
    SELECT 'privileges', format('%s of %s on %s', g.privilege_type, g.grantee::regrole, g.what), 'granted'
    FROM (
        SELECT a.privilege_type, a.grantee, c.oid::regclass::text AS what, c.relowner FROM pg_class c
        JOIN pg_namespace n ON n.oid = c.relnamespace, aclexplode(c.relacl) a
        WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p')
        UNION ALL
        SELECT a.privilege_type, a.grantee, format('%s (%s)', c.oid::regclass, t.attname), c.relowner
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_attribute t ON t.attrelid = c.oid, aclexplode(t.attacl) a
        WHERE n.nspname = 'public' AND NOT t.attisdropped
    ) g WHERE g.grantee NOT IN (0, g.relowner) AND g.what <> 'alembic_version'
    """
)
# Tables of the first schema in the search path, with unqualified names. Alembic's own comparison does not cover
# CHECK constraints, defaults, generated columns and storage parameters.
TABLES = text(
    r"""
    WITH tables AS (
        SELECT c.oid, c.relname, c.reloptions, pg_get_partkeydef(c.oid) AS partition_key FROM pg_class c
        WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
        AND c.relname <> 'alembic_version'
    )
    SELECT 'table', t.relname, format('options %s, partitioned by %s', t.reloptions, t.partition_key) FROM tables t
    UNION ALL
    SELECT 'column', format('%s.%s', t.relname, a.attname), format('%s, not null %s, generated "%s", default %s',
        format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attgenerated, pg_get_expr(d.adbin, d.adrelid))
    FROM tables t JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    UNION ALL
    SELECT 'constraint', format('%s on %s', c.conname, t.relname), pg_get_constraintdef(c.oid)
    FROM tables t JOIN pg_constraint c ON c.conrelid = t.oid AND c.contype IN ('p', 'u', 'f', 'c')
    UNION ALL
    SELECT 'index', format('%s on %s', i.indexrelid::regclass, t.relname),
        regexp_replace(pg_get_indexdef(i.indexrelid), format(' ON (ONLY )?%I\.', current_schema()), ' ON \1')
    FROM tables t JOIN pg_index i ON i.indrelid = t.oid
    UNION ALL
    SELECT 'statistics', format('%s on %s', s.stxname, t.relname),
        regexp_replace(pg_get_statisticsobjdef(s.oid), format('%I\.', current_schema()), '', 'g')
    FROM tables t JOIN pg_statistic_ext s ON s.stxrelid = t.oid
    """
)
_PARTITIONS = text(
    "SELECT i.inhrelid::regclass::text, i.inhparent::regclass::text FROM pg_inherits i "
    "JOIN pg_class c ON c.oid = i.inhrelid WHERE c.relkind = 'r' ORDER BY 1"
)
# Dropping a function also drops the triggers and policies that use it.
_DROP_ALL = """
    DO $body$ DECLARE each record; BEGIN
        FOR each IN SELECT p.oid::regprocedure AS name FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
            WHERE n.nspname = 'system'
        LOOP
            EXECUTE format('DROP FUNCTION IF EXISTS %s CASCADE', each.name);
        END LOOP;
        FOR each IN SELECT polname, polrelid::regclass AS name FROM pg_policy LOOP
            EXECUTE format('DROP POLICY %I ON %s', each.polname, each.name);
        END LOOP;
        FOR each IN SELECT c.oid::regclass AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND c.relname <> 'alembic_version'
        LOOP
            EXECUTE format('ALTER TABLE %s NO FORCE ROW LEVEL SECURITY', each.name);
            EXECUTE format('ALTER TABLE %s DISABLE ROW LEVEL SECURITY', each.name);
            EXECUTE format('REVOKE ALL ON %s FROM nudge_app, nudge_definer', each.name);
        END LOOP;
    END $body$
"""

_Catalog = dict[tuple[str, str], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """An object that differs: `found` in the database, `wanted` by files and models; None if it does not exist."""

    kind: str
    name: str
    found: str | None
    wanted: str | None

    @property
    def sentence(self) -> str:
        """The difference, and what to do about it, in a sentence."""
        source = _SOURCES.get(self.kind, "the models")
        if self.wanted is None:
            return (
                f"{self.kind} {self.name} is in the database, and not in {source}: "
                "add it there, or drop it in a new migration."
            )
        if self.found is None:
            return f"{self.kind} {self.name} is in {source}, and not in the database: make it in a new migration."
        return (
            f"{self.kind} {self.name} differs from {source}: make it so in a new migration. "
            f"The database has:\n{self.found}\ninstead of:\n{self.wanted}"
        )


def differences(connection: Connection) -> list[Difference]:
    """The differences of a database from the files and the models."""
    with connection.begin_nested() as transaction:
        current = catalog(connection) | tables(connection)
        _rebuild(connection)
        declared = catalog(connection) | _declared_tables(connection)
        transaction.rollback()
    return [
        Difference(kind=kind, name=name, found=current.get((kind, name)), wanted=declared.get((kind, name)))
        for kind, name in sorted(current.keys() | declared.keys())
        if current.get((kind, name)) != declared.get((kind, name))
    ]


def catalog(connection: Connection) -> _Catalog:
    """Functions, triggers, policies and privileges, by kind and name."""
    return {(kind, name): definition for kind, name, definition in connection.execute(_CATALOGUE)}


def tables(connection: Connection) -> _Catalog:
    """Tables with their columns, constraints, indexes and extended statistics, without partitions."""
    return {(kind, name): definition for kind, name, definition in connection.execute(TABLES)}


def _declared_tables(connection: Connection) -> _Catalog:
    """The same of tables that SQLAlchemy creates from the models, in a separate schema."""
    connection.execute(text("CREATE SCHEMA declared"))
    connection.execute(text("SET LOCAL search_path = declared"))
    Base.metadata.create_all(connection, checkfirst=False)
    return tables(connection)


def _rebuild(connection: Connection) -> None:
    """Drop all functions, triggers and policies, and create them from the files and the models."""
    declared = policies.declared()
    partitions = connection.execute(_PARTITIONS).all()
    connection.execute(text(_DROP_ALL))
    # Files are loaded in the order of their names, some of them before functions that they call.
    connection.execute(text("SET LOCAL check_function_bodies = off"))
    for path in sorted(sql.FOLDER.glob("*.sql")):
        sql.run(connection, path.read_text(encoding="utf-8"))
    for statement in _policy_statements(declared, [(row[0], row[1]) for row in partitions]):
        sql.run(connection, statement)


def _policy_statements(declared: dict[str, RowSecurity], partitions: list[tuple[str, str]]) -> Iterator[str]:
    """The policy statements of every table and partition."""
    for table, security in declared.items():
        yield from policies.statements(table, security)
    for partition, parent in partitions:
        yield from policies.partition_statements(partition, declared[parent])
