"""The audit log. A record is written in the same transaction as the change that it describes."""

from collections.abc import Mapping
from uuid import UUID

from sqlalchemy import insert

from core.ids import new_id
from core.telemetry import request_id
from core.unit_of_work import UnitOfWork
from models.audit import AuditEvent


async def record(uow: UnitOfWork, action: str, target_id: UUID, changes: Mapping[str, object] | None = None) -> None:
    """Record an action (`campaign.sent`) of the unit of work's actor on a row.

    `changes` is JSON and never contains a contact's data or the contents of a message. A change of many rows is one
    record with counts; its target is the list that the rows are on, or else the organization.
    """
    await record_each(uow, action, {target_id: changes or {}})


async def record_each(uow: UnitOfWork, action: str, targets: Mapping[UUID, Mapping[str, object]]) -> None:
    """Like `record`, for several targets with their changes, in one round trip."""
    if not targets:
        return
    actor = uow.actor
    shared = {
        "organization_id": actor.organization_id,
        "actor_kind": actor.kind,
        "user_id": actor.user_id,
        "api_key_id": actor.api_key_id,
        "on_behalf_of": actor.on_behalf_of,
        "action": action,
        "request_id": request_id.get() or None,
    }
    await uow.execute(
        insert(AuditEvent),
        [
            {**shared, "id": new_id(), "target_id": target_id, "changes": dict(changes)}
            for target_id, changes in targets.items()
        ],
    )
