"""How strongly a campaign's sender is locked while the campaign is sent, scheduled or drafted."""

from collections.abc import Awaitable, Callable
from uuid import UUID

import pytest
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from core.access.actor import Actor
from core.unit_of_work import UnitOfWork
from integrations.recording import RecordingMailer
from models.senders import Sender
from runtime import Runtime
from services.senders import policy
from services.senders.policy import ChosenSender, sender_policy
from tests import factories

MODES = {"KEY SHARE": (True, True), "SHARE": (True, False), "NO KEY UPDATE": (False, True), "UPDATE": (False, False)}


async def lock_chosen(uow: UnitOfWork, sender_id: UUID) -> None:
    await policy.lock_chosen(uow, ChosenSender(header="news@acme.example", sender_id=sender_id))


async def require_and_lock(uow: UnitOfWork, sender_id: UUID) -> None:
    await policy.require_and_lock(uow, sender_id)


async def choose_and_lock(uow: UnitOfWork, sender_id: UUID) -> None:
    await policy.choose_and_lock(uow, sender_policy(RecordingMailer(), production=True), sender_id)


async def can_lock(runtime: Runtime, actor: Actor, sender_id: UUID, mode: str) -> bool:
    """Whether another transaction gets the sender's row in this mode without waiting."""
    read, key_share = MODES[mode]
    query = select(Sender.id).where(Sender.id == sender_id)
    try:
        async with runtime.work.begin(actor) as uow:
            rows = await uow.rows(query.with_for_update(nowait=True, read=read, key_share=key_share))
            return len(rows) == 1
    except DBAPIError:
        return False


@pytest.mark.parametrize("lock", [lock_chosen, require_and_lock, choose_and_lock])
async def test_a_sender_is_locked_against_deletion_alone(
    runtime: Runtime, lock: Callable[[UnitOfWork, UUID], Awaitable[None]]
) -> None:
    """FOR KEY SHARE: it can be renamed and confirmed meanwhile, and other campaigns are sent from it."""
    owner = await factories.organization(runtime)
    sender_id = await factories.sender(runtime, owner, default=True)
    async with runtime.work.begin(owner) as uow:
        await lock(uow, sender_id)
        modes = [mode for mode in MODES if await can_lock(runtime, owner, sender_id, mode)]
    assert modes == ["KEY SHARE", "SHARE", "NO KEY UPDATE"]
    assert await can_lock(runtime, owner, sender_id, "UPDATE")
