"""Which rows of a table a role sees and changes: what each model declares as its `__row_security__`.

`migrations/policies.py` turns it into statements for a migration, and the tests compare it with the database. A model
that declares nothing has the rows of its organization (`organization_rows()`).
"""

from dataclasses import dataclass

APP = "nudge_app"
DEFINER = "nudge_definer"

USUAL = "SELECT, INSERT, UPDATE"
WITH_DELETE = "SELECT, INSERT, UPDATE, DELETE"
"""For a table that a statement of the app deletes from. Rows that go with a row that they refer to do not need it."""

# The scalar sub-select is evaluated once per statement rather than once per row; after a commit the setting reads ''.
ORGANIZATION = "(SELECT nullif(current_setting('app.organization_id', true), '')::uuid)"
USER = "(SELECT nullif(current_setting('app.user_id', true), '')::uuid)"
ROLE = "(SELECT current_setting('app.role', true))"

OF_ORGANIZATION = f"organization_id = {ORGANIZATION}"
OF_USER = f"{OF_ORGANIZATION} AND user_id = {USER}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A policy of a table for one role and one command. `using` is for rows that are there, `check` for new ones."""

    name: str
    command: str = "ALL"
    role: str = APP
    using: str | None = None
    check: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RowSecurity:
    """A table's policies and privileges. Without a policy of a role, the role sees no row.

    `app` holds the privileges of the app's role, `definer` those of the functions that look across organizations: as
    a GRANT takes them, such as `SELECT (id, organization_id)`.
    """

    policies: tuple[Policy, ...]
    app: str | None = USUAL
    definer: tuple[str, ...] = ()
    forced: bool = True


def organization_rows(
    app: str = USUAL,
    *,
    key: str = "organization_id",
    lookup: tuple[str, ...] = (),
    expired: str | None = None,
) -> RowSecurity:
    """The rows of the tenant's organization.

    Args:
        app: The privileges of the app's role.
        key: The column that holds the organization's id.
        lookup: Columns that the definer functions read of every organization's rows.
        expired: The condition of rows that the definer functions may delete, of every organization.
    """
    return _with_functions(_tenant(f"{key} = {ORGANIZATION}"), app, lookup, expired)


def user_rows(app: str = USUAL, *, lookup: tuple[str, ...] = ()) -> RowSecurity:
    """The rows of one user: their author's alone, whatever the role of another."""
    return _with_functions(_tenant(OF_USER), app, lookup, None)


def role_rows(*roles: str) -> RowSecurity:
    """Rows of the organization that everybody may add to, and that users of some roles read."""
    among = ", ".join(f"'{role}'" for role in roles)
    readers = Policy(name="readers", command="SELECT", using=f"{OF_ORGANIZATION} AND {ROLE} IN ({among})")
    writers = Policy(name="writers", command="INSERT", check=OF_ORGANIZATION)
    return RowSecurity(policies=(readers, writers), app="SELECT, INSERT")


def function_rows(definer: str) -> RowSecurity:
    """Rows of no organization, which the definer functions alone reach, with these privileges."""
    return RowSecurity(policies=(), app=None, definer=(definer,), forced=False)


def lookup_policy() -> Policy:
    """The definer functions read every row, in the columns that they have the privilege for."""
    return Policy(name="definer", command="SELECT", role=DEFINER, using="true")


def expiry_policy(expired: str) -> Policy:
    """The definer functions delete the rows that match, and see them."""
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
