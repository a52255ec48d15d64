"""The tenant of a statement or a transaction, set for Row Level Security until the transaction ends."""

from typing import TypeVarTuple

from sqlalchemy import ColumnElement, Function, Select, Text, bindparam, func, literal_column, select, true

Ts = TypeVarTuple("Ts")
ZERO: ColumnElement[int] = literal_column("0")


def with_tenant(statement: Select[*Ts]) -> Select[*Ts]:
    """The statement with the tenant's settings in the same round trip; its parameters are `Tenant.parameters`.

    The read depends laterally on the sub-select that calls set_config, so PostgreSQL evaluates the settings first.
    Were it not to, the policies would see no tenant and return no rows: it fails closed. The OFFSETs keep the
    planner from pulling a sub-select up, as it may then scan one side of a join before the tenant is set.
    """
    tenant = set_tenant().offset(ZERO).subquery("tenant")
    inner = select(statement.subquery("read")).where(tenant.c.organization.is_not(None)).offset(ZERO)
    rows = inner.correlate(tenant).lateral("rows")
    return select(rows).select_from(tenant.join(rows, true()))


def set_tenant() -> Select[str, str, str]:
    """The statement that sets the tenant until the end of the transaction."""
    return select(
        _set_locally("app.organization_id", "tenant_organization").label("organization"),
        _set_locally("app.user_id", "tenant_user").label("user"),
        _set_locally("app.role", "tenant_role").label("role"),
    )


def _set_locally(setting: str, parameter: str) -> Function[str]:
    """A call that gives a setting the parameter's value until the end of the transaction."""
    return func.set_config(literal_column(f"'{setting}'"), bindparam(parameter, type_=Text), true())
