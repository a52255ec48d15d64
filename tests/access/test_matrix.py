"""The matrix of roles, and what is derived from it."""

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

# Permissions that no root field takes yet, and what does.
ELSEWHERE = {Permission.AUDIT_READ: "the policy of the table audit_events, see below"}


def test_the_matrix_and_the_permissions_are_the_same() -> None:
    """Each permission stands in the matrix, and the owner, who holds whatever anybody may, holds it."""
    assert ROLE_PERMISSIONS[Role.OWNER] == frozenset(Permission)
    assert {name for name, _, _ in (permission.partition(":") for permission in Permission)} == set(MATRIX)


def test_roles_include_one_another() -> None:
    """An admin may what an editor may, and an editor what a viewer may; Maya may change nothing."""
    held = ROLE_PERMISSIONS
    assert held[Role.OWNER] >= held[Role.ADMIN] > held[Role.EDITOR] > held[Role.VIEWER]
    assert {permission.partition(":")[2] for permission in MAYA_PERMISSIONS} == {"read"}


def test_every_permission_is_taken_by_something() -> None:
    """A permission that neither a root field nor a reason stands for is a promise that nobody keeps."""
    taken = {field.permission for field in root_fields()}
    assert set(Permission) - taken == set(ELSEWHERE)


@pytest.mark.parametrize("role", Role)
async def test_the_audit_log_is_read_by_those_who_hold_its_permission(runtime: Runtime, role: Role) -> None:
    """The policy of the database and the matrix agree; Maya reads nothing of it, whomever she acts for."""
    owner = await factories.organization(runtime)
    async with runtime.work.begin(owner) as uow:
        await audit.record(uow, "thing.done", owner.organization_id)
    actor = user_actor(owner.organization_id, owner.person_id, role)
    for each in (actor, maya_actor(actor)):
        seen = await runtime.reads(each.tenant).rows(select(AuditEvent.id))
        assert bool(seen) == each.may(Permission.AUDIT_READ)


async def test_the_command_prints_both_tables(tmp_path: Path) -> None:
    """`nudge permissions` says what a role may do, and what takes a permission."""
    ended = await nudge("permissions", folder=tmp_path)
    lines = {line.partition("  ")[0]: line for line in ended.out.splitlines() if line}
    assert (ended.code, ended.err) == (0, "")
    assert "read, write, send" in lines["campaign"]
    assert "sendCampaign" in lines["campaign:send"]
    assert (await nudge("permissions", "--markdown", folder=tmp_path)).out.strip() == text(markdown=True)
