"""Setting the tenant of a statement or transaction, for Row Level Security, until the transaction ends."""

from typing import TypeVarTuple

from sqlalchemy import ColumnElement, Function, Select, Text, bindparam, func, literal_column, select, true

Ts = TypeVarTuple("Ts")
ZERO: ColumnElement[int] = literal_column("0")


def with_tenant(statement: Select[*Ts]) -> Select[*Ts]:
    """The statement extended to set the tenant in the same round trip; takes `Tenant.parameters`.

    The read is LATERAL to the subquery that calls set_config, so PostgreSQL sets the tenant first. If it did not, the
    policies would see no tenant, and the read would return no rows: it fails closed. The OFFSETs keep the planner
    from pulling up a subquery, after which it could scan one side of a join before the tenant is set.
    """
    tenant = set_tenant().offset(ZERO).subquery("tenant")
    inner = select(statement.subquery("read")).where(tenant.c.organization.is_not(None)).offset(ZERO)
    rows = inner.correlate(tenant).lateral("rows")
    return select(rows).select_from(tenant.join(rows, true()))


def set_tenant() -> Select[str, str, str]:
    """A statement that sets the tenant until the end of the transaction."""
    return select(
        _set_locally("app.organization_id", "tenant_organization").label("organization"),
        _set_locally("app.user_id", "tenant_user").label("user"),
        _set_locally("app.role", "tenant_role").label("role"),
    )


def _set_locally(setting: str, parameter: str) -> Function[str]:
    """A call of set_config that sets a parameter's value until the end of the transaction."""
    return func.set_config(literal_column(f"'{setting}'"), bindparam(parameter, type_=Text), true())
