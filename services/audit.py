"""The audit log: who did what to what, written in the transaction that does it."""

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from sqlalchemy import insert

from core.ids import new_id
from core.telemetry import request_id
from core.unit_of_work import UnitOfWork
from models.audit import AuditEvent

USER: Final = "user"
SYSTEM: Final = "system"


async def record(uow: UnitOfWork, action: str, target_id: UUID, changes: Mapping[str, object] | None = None) -> None:
    """Note an action (`campaign.sent`) on a row, by the tenant's user or, without one, by the system.

    `changes` is JSON: what is worth knowing in a year, never the contents of a message.
    """
    await uow.execute(
        insert(AuditEvent).values(
            id=new_id(),
            organization_id=uow.tenant.organization_id,
            actor_kind=USER if uow.tenant.user_id else SYSTEM,
            actor_id=uow.tenant.user_id,
            action=action,
            target_id=target_id,
            changes=dict(changes or {}),
            request_id=request_id.get() or None,
        )
    )
