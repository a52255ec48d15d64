"""The catalogue of tables, so that no new table is without policies."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, text

from runtime import Runtime
from tests import factories

# Tables without a tenant, each with the reason why no tenant can read another's rows.
WITHOUT_TENANT = {
    "organizations": "the tenant itself: its own policy compares the id",
    "alembic_version": "the revision of the schema",
    "provider_budgets": "rates of provider accounts; the app's role has no right on it",
}
# Unique over all organizations, intentionally.
UNIQUE_OVER_ALL = {
    "uq_users_email_norm": "people log in by their address",
    "uq_organizations_slug": "part of a URL",
    "pk_organizations": "the tenant itself",
    "pk_provider_budgets": "the app's role has no right on it",
    "uq_webhook_inbox_provider_dedupe_key": "events arrive before we know their tenant",
}


async def rows_without_tenant(runtime: Runtime, statement: str) -> Sequence[Row[*tuple[Any, ...]]]:
    """The rows of a statement of the app's role, without a tenant."""
    async with runtime.engine.connect() as connection:
        return (await connection.execute(text(statement))).all()


async def test_every_table_belongs_to_a_tenant_or_has_a_reason(runtime: Runtime) -> None:
    """A table without `organization_id` must be listed here with its reason."""
    rows = await rows_without_tenant(
        runtime,
        "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE n.nspname IN ('public', 'system') AND c.relkind IN ('r', 'p') AND NOT EXISTS ("
        "SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'organization_id')",
    )
    assert {row[0] for row in rows} <= set(WITHOUT_TENANT)


async def test_without_a_tenant_every_table_is_empty(runtime: Runtime) -> None:
    """Every table that the app may read shows no row to a session without a tenant."""
    actor = await factories.organization(runtime)
    await factories.contacts(runtime, actor, 2, tag="vip")
    await factories.campaign(runtime, actor)
    tables = await rows_without_tenant(
        runtime,
        "SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p', 'v', 'm') "
        "AND has_table_privilege(c.oid, 'SELECT') AND c.relname <> 'alembic_version'",
    )
    assert len(tables) > 15
    counts = {name: (await rows_without_tenant(runtime, f"SELECT count(*) FROM {name}"))[0][0] for (name,) in tables}  # noqa: S608
    assert {name: rows for name, rows in counts.items() if rows} == {}


async def test_uniqueness_is_within_an_organization(runtime: Runtime) -> None:
    """A unique index over several tenants reveals to one what another has; keys of random ids reveal nothing."""
    rows = await rows_without_tenant(
        runtime,
        "SELECT i.relname, a.attname, t.typname FROM pg_index x "
        "JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class c ON c.oid = x.indrelid "
        "JOIN pg_namespace n ON n.oid = c.relnamespace "
        "JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = x.indkey[0] "
        "JOIN pg_type t ON t.oid = a.atttypid "
        "WHERE n.nspname = 'public' AND x.indisunique AND c.relname <> 'alembic_version'",
    )
    wide = {
        index
        for index, column, kind in rows
        if column != "organization_id" and not (kind == "uuid" and column == "id") and column != "fingerprint"
    }
    assert wide <= set(UNIQUE_OVER_ALL)
