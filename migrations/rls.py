"""Row Level Security in one place: what a tenant sees, and who may do what with a table."""

from alembic import op

APP = "nudge_app"
DEFINER = "nudge_definer"

# The scalar sub-select is evaluated once per statement rather than once per row; after a commit the setting reads ''.
ORGANIZATION_SETTING = "(SELECT nullif(current_setting('app.organization_id', true), '')::uuid)"
USER_SETTING = "(SELECT nullif(current_setting('app.user_id', true), '')::uuid)"
ROLE_SETTING = "(SELECT current_setting('app.role', true))"

OF_ORGANIZATION = f"organization_id = {ORGANIZATION_SETTING}"
OF_USER = f"{OF_ORGANIZATION} AND user_id = {USER_SETTING}"


def protect(table: str, using: str = OF_ORGANIZATION, *, check: str | None = None) -> None:
    """Enable and force RLS on a table, with one policy for all that the app does."""
    enforce(table)
    op.execute(f"CREATE POLICY tenant ON {table} TO {APP} USING ({using}) WITH CHECK ({check or using})")


def enforce(table: str) -> None:
    """Enable and force RLS; without a policy nobody sees a row."""
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")


def grant(privileges: str, *tables: str) -> None:
    """Let the app's role use the tables."""
    for table in tables:
        op.execute(f"GRANT {privileges} ON {table} TO {APP}")


def let_definer_read(table: str, *columns: str) -> None:
    """Let the definer functions read some columns of every tenant."""
    op.execute(f"GRANT SELECT ({', '.join(columns)}) ON {table} TO {DEFINER}")
    op.execute(f"CREATE POLICY definer ON {table} FOR SELECT TO {DEFINER} USING (true)")


def define(signature: str, returns: str, body: str, *, by_owner: bool = False, language: str = "sql") -> None:
    """A SECURITY DEFINER function of the schema `system` that the app may call, with a fixed search path.

    It runs as a role that cannot log in and sees ids only, or `by_owner` as the owner of the tables.
    """
    function = f"system.{signature_types(signature)}"
    op.execute(
        f"CREATE FUNCTION system.{signature} RETURNS {returns} LANGUAGE {language} SECURITY DEFINER "
        f"SET search_path = pg_catalog, public, pg_temp AS $body$ {body} $body$"
    )
    # Privileges first: once the function has another owner, the migrator may change them no more.
    close(function)
    op.execute(f"GRANT EXECUTE ON FUNCTION {function} TO {APP}")
    if not by_owner:
        op.execute(f"ALTER FUNCTION {function} OWNER TO {DEFINER}")


def close(*functions: str) -> None:
    """Take from PUBLIC the right to execute the functions, which PostgreSQL gives with every new one."""
    op.execute(f"REVOKE ALL ON FUNCTION {', '.join(functions)} FROM PUBLIC")


def signature_types(signature: str) -> str:
    """`f(a text, b int)` as `f(text, int)`, the name PostgreSQL knows a function by."""
    name, _, arguments = signature.rstrip(")").partition("(")
    return f"{name}({', '.join(argument.split()[1] for argument in arguments.split(',') if argument.strip())})"
