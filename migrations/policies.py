"""Statements of Row Level Security for migrations, from the declarations of the models (`models/row_security.py`).

A migration contains the statements themselves, so that it does not change with a model.
"""

from collections.abc import Iterator

from models.base import Base
from models.row_security import APP, DEFINER, Policy, RowSecurity


def declared() -> dict[str, RowSecurity]:
    """The declarations of the models, by table name."""
    classes = (mapper.class_ for mapper in Base.registry.mappers)
    return {each.__tablename__: each.__row_security__ for each in sorted(classes, key=lambda c: c.__tablename__)}


def statements(table: str, security: RowSecurity) -> Iterator[str]:
    """Policies and privileges of a new table."""
    yield from protection(table, security.policies, forced=security.forced)
    if security.app is not None:
        yield f"GRANT {security.app} ON {table} TO {APP}"
    for privilege in security.definer:
        yield f"GRANT {privilege} ON {table} TO {DEFINER}"


def partition_statements(partition: str, security: RowSecurity) -> Iterator[str]:
    """Policies of a partition, for queries that name it: those of the app's role, which has no privileges on it."""
    yield from protection(partition, [policy for policy in security.policies if policy.role == APP])


def protection(table: str, policies: tuple[Policy, ...] | list[Policy], *, forced: bool = True) -> Iterator[str]:
    """Enable and force Row Level Security, with the policies."""
    if forced:
        yield f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY"
        yield f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY"
    for policy in policies:
        yield _policy_statement(table, policy)


def _policy_statement(table: str, policy: Policy) -> str:
    """CREATE POLICY."""
    command = "" if policy.command == "ALL" else f" FOR {policy.command}"
    using = "" if policy.using is None else f"\n    USING ({policy.using})"
    check = "" if policy.check is None else f"\n    WITH CHECK ({policy.check})"
    return f"CREATE POLICY {policy.name} ON {table}{command} TO {policy.role}{using}{check}"
