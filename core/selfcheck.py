"""Checks of the database before a process serves: its role must not be able to bypass Row Level Security."""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncEngine

from core.errors import UnsafeDatabase

# Tables whose rows belong to no organization.
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
# Functions in our schema or of our owner: whether PUBLIC may execute them, and whether our role may not.
FUNCTIONS = text(
    """
    SELECT p.oid::regprocedure::text,
        EXISTS (SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a WHERE a.grantee = 0),
        p.prosecdef AND NOT has_function_privilege(p.oid, 'EXECUTE')
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE n.nspname = 'system' OR (n.nspname = 'public'
        AND p.proowner IN (SELECT c.relowner FROM pg_class c WHERE c.oid = to_regclass('public.alembic_version'))
        AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e'))
    ORDER BY 1
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
    """Raise `UnsafeDatabase` for a role that bypasses the policies, a table without one, or a public function."""
    async with engine.connect() as connection:
        role = (await connection.execute(ROLE)).one()
        functions = (await connection.execute(FUNCTIONS)).all()
        tables = (await connection.execute(TABLES, {"without_tenants": WITHOUT_TENANTS})).all()
    problems = [*_role_problems(*role), *_function_problems(functions), *_table_problems(tables)]
    if problems:
        raise UnsafeDatabase("Refusing to start: " + "; ".join(problems) + ".")


def _role_problems(
    superuser: bool, bypasses: bool, owned: list[str] | None, definers: list[str] | None
) -> Iterator[str]:
    """Reasons why the role could see other tenants' rows."""
    if superuser:
        yield "the role is a superuser"
    if bypasses:
        yield "the role has BYPASSRLS"
    if owned and not superuser:
        yield f"the role owns {', '.join(owned)}"
    if definers and not superuser:
        yield f"the role is a member of {', '.join(definers)}, which sees all tenants' rows"


def _function_problems(functions: Sequence[Row[*tuple[Any, ...]]]) -> Iterator[str]:
    """Functions that PUBLIC may execute, and those that our role may not."""
    if public := [name for name, is_public, _ in functions if is_public]:
        yield f"PUBLIC may execute {', '.join(public)}: run `nudge migrate`"
    if missing := [name for name, _, is_refused in functions if is_refused]:
        yield f"the role may not execute {', '.join(missing)}: run `nudge migrate`"


def _table_problems(tables: Sequence[Row[*tuple[Any, ...]]]) -> Iterator[str]:
    """Tables without enforced policies."""
    if not tables:
        yield "there are no tables: run `nudge migrate`"
    for name, enabled, forced, has_policy in tables:
        words = (("ENABLE", enabled), ("FORCE", forced), ("a policy", has_policy))
        if missing := [word for word, is_there in words if not is_there]:
            yield f"table {name} lacks {' and '.join(missing)} of Row Level Security"
