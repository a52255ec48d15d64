"""Row Level Security: which rows of a table a role may read and change. A model declares it as `__row_security__`.

`migrations/policies.py` turns it into statements for a migration, and the tests compare it with the database. The
default is `organization_rows()`.
"""

from dataclasses import dataclass

APP = "nudge_app"
DEFINER = "nudge_definer"

_WITHOUT_DELETE = "SELECT, INSERT, UPDATE"
WITH_DELETE = "SELECT, INSERT, UPDATE, DELETE"
"""For a table from which the app deletes rows by a statement. ON DELETE CASCADE needs no privilege."""

# The scalar sub-select is evaluated once per statement rather than once per row. After a commit the setting is ''.
_ORGANIZATION = "(SELECT nullif(current_setting('app.organization_id', true), '')::uuid)"
_USER = "(SELECT nullif(current_setting('app.user_id', true), '')::uuid)"
_ROLE = "(SELECT current_setting('app.role', true))"

OF_ORGANIZATION = f"organization_id = {_ORGANIZATION}"
_OF_USER = f"{OF_ORGANIZATION} AND user_id = {_USER}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A policy of a table for one role and one command, with its USING and WITH CHECK conditions."""

    name: str
    command: str = "ALL"
    role: str = APP
    using: str | None = None
    check: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RowSecurity:
    """A table's policies and privileges. A role without a policy sees no row.

    `app` holds the privileges of `nudge_app`, `definer` those of the SECURITY DEFINER functions, which read across
    organizations. Both are in the syntax of GRANT: `SELECT (id, organization_id)`.
    """

    policies: tuple[Policy, ...]
    app: str | None = _WITHOUT_DELETE
    definer: tuple[str, ...] = ()
    forced: bool = True


def organization_rows(
    app: str = _WITHOUT_DELETE,
    *,
    key: str = "organization_id",
    lookup: tuple[str, ...] = (),
    expired: str | None = None,
) -> RowSecurity:
    """The rows of the tenant's organization.

    Args:
        app: The privileges of `nudge_app`.
        key: The column that holds the organization's id.
        lookup: Columns that the definer functions may read in the rows of all organizations.
        expired: The condition of the rows that the definer functions may delete, of all organizations.
    """
    return _with_functions(_tenant(f"{key} = {_ORGANIZATION}"), app, lookup, expired)


def user_rows(app: str = _WITHOUT_DELETE, *, lookup: tuple[str, ...] = ()) -> RowSecurity:
    """The rows of the tenant's user. Other users cannot see them, whatever their role."""
    return _with_functions(_tenant(_OF_USER), app, lookup, None)


def role_rows(*roles: str) -> RowSecurity:
    """Rows of the organization that every user may insert, and that users of these roles may read."""
    listed = ", ".join(f"'{role}'" for role in roles)
    readers = Policy(name="readers", command="SELECT", using=f"{OF_ORGANIZATION} AND {_ROLE} IN ({listed})")
    writers = Policy(name="writers", command="INSERT", check=OF_ORGANIZATION)
    return RowSecurity(policies=(readers, writers), app="SELECT, INSERT")


def function_rows(definer: str) -> RowSecurity:
    """Rows of no organization, which only the definer functions may access, with these privileges."""
    return RowSecurity(policies=(), app=None, definer=(definer,), forced=False)


def lookup_policy() -> Policy:
    """Lets the definer functions read all rows, in the columns that they have a privilege for."""
    return Policy(name="definer", command="SELECT", role=DEFINER, using="true")


def expiry_policy(expired: str) -> Policy:
    """Lets the definer functions read and delete the rows that match."""
    return Policy(name="expired", command="DELETE", role=DEFINER, using=expired)


def _tenant(rule: str) -> Policy:
    return Policy(name="tenant", using=rule, check=rule)


def _with_functions(tenant: Policy, app: str, lookup: tuple[str, ...], expired: str | None) -> RowSecurity:
    policies, definer = [tenant], []
    if lookup:
        policies.append(lookup_policy())
        definer.append(f"SELECT ({', '.join(lookup)})")
    if expired is not None:
        policies.append(expiry_policy(expired))
        definer.append("DELETE")
    return RowSecurity(policies=tuple(policies), app=app, definer=tuple(definer))
