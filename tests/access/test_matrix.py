"""The matrix of roles and permissions, and everything derived from it."""

from pathlib import Path

import pytest
from sqlalchemy import select

from core.access.actor import maya_actor, user_actor
from core.access.matrix import MATRIX, MAYA_PERMISSIONS, ROLE_PERMISSIONS
from core.access.permissions import Permission, Role
from models.audit import AuditEvent
from resolvers.permissions import root_fields, text
from runtime import Runtime
from services import audit
from tests import factories
from tests.operating.commands import nudge

# Permissions that no root field requires yet, with the reasons.
ELSEWHERE = {Permission.AUDIT_READ: "the policy of the table audit_events, see below"}


def test_the_matrix_has_every_permission() -> None:
    """The owner has all of them."""
    assert ROLE_PERMISSIONS[Role.OWNER] == frozenset(Permission)
    assert {name for name, _, _ in (permission.partition(":") for permission in Permission)} == set(MATRIX)


def test_roles_include_one_another() -> None:
    """An admin has all permissions of an editor, an editor those of a viewer; Maya can change nothing."""
    permissions = ROLE_PERMISSIONS
    assert permissions[Role.OWNER] >= permissions[Role.ADMIN] > permissions[Role.EDITOR] > permissions[Role.VIEWER]
    assert {permission.partition(":")[2] for permission in MAYA_PERMISSIONS} == {"read"}


def test_every_permission_is_required_by_something() -> None:
    """By a root field, or for a listed reason."""
    permissions = {field.permission for field in root_fields()}
    assert set(Permission) - permissions == set(ELSEWHERE)


@pytest.mark.parametrize("role", Role)
async def test_the_audit_log_can_be_read_with_its_permission(runtime: Runtime, role: Role) -> None:
    """The policy of the database and the matrix agree; Maya cannot read it, for any user."""
    owner = await factories.organization(runtime)
    async with runtime.work.begin(owner) as uow:
        await audit.record(uow, "thing.done", owner.organization_id)
    actor = user_actor(owner.organization_id, owner.require_user_id(), role)
    for each in (actor, maya_actor(actor)):
        rows = await runtime.reads(each.tenant).rows(select(AuditEvent.id))
        assert bool(rows) == each.may(Permission.AUDIT_READ)


async def test_the_command_prints_both_tables(tmp_path: Path) -> None:
    """`nudge permissions` prints the permissions of each role, and the fields that require each permission."""
    result = await nudge("permissions", folder=tmp_path)
    lines = {line.partition("  ")[0]: line for line in result.out.splitlines() if line}
    assert (result.code, result.err) == (0, "")
    assert "read, write, send" in lines["campaign"]
    assert "sendCampaign" in lines["campaign:send"]
    assert (await nudge("permissions", "--markdown", folder=tmp_path)).out.strip() == text(markdown=True)
