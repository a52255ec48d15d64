"""What must hold of the database before we serve anybody: our role can't step around Row Level Security."""

from functools import lru_cache

from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from core.errors import UnsafeDatabase
from core.migration import SCRIPTS

# No row of these belongs to an organisation.
WITHOUT_TENANTS = ["alembic_version", "provider_budgets"]
ROLE = text(
    """
    SELECT r.rolsuper, r.rolbypassrls,
        (SELECT array_agg(c.oid::regclass::text ORDER BY 1) FROM pg_class c
         JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname IN ('public', 'system') AND pg_has_role(c.relowner, 'MEMBER')
         AND c.relkind IN ('r', 'p', 'v', 'm')),
        (SELECT array_agg(DISTINCT o.rolname::text) FROM pg_proc p
         JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_roles o ON o.oid = p.proowner
         WHERE n.nspname = 'system' AND pg_has_role(p.proowner, 'MEMBER'))
    FROM pg_roles r WHERE r.rolname = current_user
    """
)
TABLES = text(
    """
    SELECT c.relname, c.relrowsecurity, c.relforcerowsecurity,
        EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND c.relname <> ALL (:without_tenants)
    ORDER BY c.relname
    """
)


async def check(engine: AsyncEngine) -> None:
    """Raise `UnsafeDatabase` for a role that owns tables or is above the policies, or a table without them."""
    async with engine.connect() as connection:
        (superuser, bypasses, owned, definers) = (await connection.execute(ROLE)).one()
        tables = (await connection.execute(TABLES, {"without_tenants": WITHOUT_TENANTS})).all()
    problems = []
    if superuser:
        problems.append("the role is a superuser")
    if bypasses:
        problems.append("the role has BYPASSRLS")
    if owned and not superuser:
        problems.append(f"the role owns {', '.join(owned)}")
    if definers and not superuser:
        problems.append(f"the role may become {', '.join(definers)}, which sees across tenants")
    if not tables:
        problems.append("there are no tables: run `nudge migrate`")
    for name, enabled, forced, has_policy in tables:
        if not (enabled and forced and has_policy):
            missing = [
                word
                for word, there in (("ENABLE", enabled), ("FORCE", forced), ("a policy", has_policy))
                if not there
            ]
            problems.append(f"table {name} lacks {' and '.join(missing)} of Row Level Security")
    if problems:
        raise UnsafeDatabase("Refusing to start: " + "; ".join(problems) + ".")


@lru_cache(maxsize=1)
def head() -> str | None:
    """The newest revision among our migrations."""
    return ScriptDirectory(str(SCRIPTS)).get_current_head()


async def revision(engine: AsyncEngine) -> str | None:
    """The database's revision; None when it was never migrated or we may not see."""
    async with engine.connect() as connection:
        there = await connection.execute(text("SELECT to_regclass('public.alembic_version') IS NOT NULL"))
        if not there.scalar_one():
            return None
        return (await connection.execute(text("SELECT version_num FROM alembic_version"))).scalar_one_or_none()
