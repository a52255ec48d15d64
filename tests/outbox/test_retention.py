"""Retention of system mail."""

from datetime import timedelta

from sqlalchemy import func, insert, select, update

from models.outbox import OutboxMessage
from models.senders import Sender, SenderConfirmation
from runtime import Runtime
from services.retention import delete_expired
from tests.outbox.mailing import rows
from tests.outbox.test_sending import ACCEPTED, unconfirmed_senders


async def test_finished_messages_and_expired_confirmations_are_deleted(fresh_runtime: Runtime) -> None:
    """Messages a month after their end, and expired tokens; open messages stay."""
    actor = await unconfirmed_senders(fresh_runtime, 4)
    old, recent, waiting, *_ = await rows(fresh_runtime, actor)
    async with fresh_runtime.work.begin(actor) as uow:
        for row, days in ((old, 31), (recent, 29)):
            await uow.execute(
                update(OutboxMessage)
                .where(OutboxMessage.id == row.id)
                .values(status=ACCEPTED, finished_at=func.now() - timedelta(days=days))
            )
        sender_id = (await uow.rows(select(Sender.id).limit(1)))[0].id
        for name, minutes in ((b"over", -1), (b"good", 1)):
            await uow.execute(
                insert(SenderConfirmation).values(
                    fingerprint=name,
                    organization_id=actor.organization_id,
                    sender_id=sender_id,
                    expires_at=func.now() + timedelta(minutes=minutes),
                )
            )
    assert (await delete_expired(fresh_runtime.system)).rows == 2
    left = [row.id for row in await rows(fresh_runtime, actor)]
    assert (old.id in left, recent.id in left, waiting.id in left, len(left)) == (False, True, True, 3)
    fingerprints = await fresh_runtime.reads(actor.tenant).rows(select(SenderConfirmation.fingerprint))
    assert [row[0] for row in fingerprints] == [b"good"]
