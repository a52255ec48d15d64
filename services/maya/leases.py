"""A reply belongs to one run at a time: taken for some seconds, kept by renewing, ended once."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Uuid, and_, column, func, select, update

from core import leases
from core.database.scopes import Reads, SystemScope, first
from core.leases import LeaseLost
from core.pubsub import log_topic, message_topic
from core.unit_of_work import UnitOfWork
from models.conversations import Conversation, Message, MessageRole, MessageStatus, ReplyFailure
from services.conversations.reading import MESSAGES, OPEN, MessageRow
from services.conversations.work import RunReply, reply_log

LEASE_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A reply that is ours. `attempt` counts its runs, 1 for the first."""

    reply: MessageRow
    token: UUID
    attempt: int
    cancel_requested: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a reply ends. `last_sequence` is that of the log's last event."""

    status: MessageStatus
    content: str
    last_sequence: int
    failure: ReplyFailure | None = None
    explanation: str | None = None
    model: str | None = None
    usage: Mapping[str, Any] | None = None


async def take(uow: UnitOfWork, message_id: UUID) -> Lease | None:
    """Take an open reply that is nobody's (any more); None when there is nothing to take."""
    is_open = Message.status.in_([str(status) for status in OPEN])
    taken = await leases.acquire(
        uow,
        Message,
        and_(Message.id == message_id, Message.role == MessageRole.ASSISTANT, is_open),
        seconds=LEASE_SECONDS,
        values={"status": MessageStatus.STREAMING, "attempt": Message.attempt + 1},
        returning=(*MESSAGES.columns, Message.attempt, Message.cancel_requested_at),
    )
    if taken is None:
        return None
    *reply, attempt, cancel_requested_at = tuple(taken.row)
    return Lease(
        reply=MessageRow._make(reply),
        token=taken.token,
        attempt=attempt,
        cancel_requested=cancel_requested_at is not None,
    )


async def cancel_requested(reads: Reads, lease: Lease) -> bool:
    """Whether somebody wants the reply to stop. Raises `LeaseLost`."""
    mine = select(Message.cancel_requested_at).where(
        Message.id == lease.reply.id, leases.is_held(Message, lease.token)
    )
    row = await first(reads, mine)
    if row is None:
        raise LeaseLost
    return row[0] is not None


async def renew(uow: UnitOfWork, lease: Lease, *, content: str, last_sequence: int) -> None:
    """Keep the reply for some more seconds, and what was said so far with it. Raises `LeaseLost`."""
    said = {"content": content, "last_sequence": last_sequence}
    mine = Message.id == lease.reply.id
    await leases.renew(uow, Message, mine, lease.token, seconds=LEASE_SECONDS, values=said)


async def release(uow: UnitOfWork, lease: Lease) -> None:
    """Give back a reply in which nothing was said, for another run to take at once. Raises `LeaseLost`."""
    values = {"status": MessageStatus.PENDING}
    await leases.release(uow, Message, Message.id == lease.reply.id, lease.token, values=values)
    uow.enqueue(
        RunReply(organization_id=uow.tenant.organization_id, user_id=uow.actor.person_id, message_id=lease.reply.id)
    )


async def end(uow: UnitOfWork, lease: Lease, ending: Ending) -> None:
    """End the reply for good, and wake whoever watches it. Raises `LeaseLost`."""
    await leases.release(
        uow,
        Message,
        Message.id == lease.reply.id,
        lease.token,
        values={
            "status": ending.status,
            "content": ending.content,
            "last_sequence": ending.last_sequence,
            "error_code": ending.failure,
            "error_message": ending.explanation,
            "model": ending.model,
            "usage": dict(ending.usage or {}),
            "completed_at": func.clock_timestamp(),
        },
    )
    await uow.execute(
        update(Conversation)
        .where(Conversation.id == lease.reply.conversation_id)
        .values(updated_at=func.clock_timestamp())
    )
    organization_id = uow.tenant.organization_id
    uow.publish(message_topic(organization_id, lease.reply.id))
    uow.publish(log_topic(reply_log(organization_id, lease.reply.id)))


async def open_replies(system: SystemScope, after: UUID, limit: int) -> list[RunReply]:
    """Replies that are pending or whose lease has expired, as jobs, by id, beyond one."""
    names = ("organization_id", "user_id", "message_id")
    found = func.system.open_replies(after, limit).table_valued(*(column(name, Uuid()) for name in names))
    return [
        RunReply(organization_id=organization, user_id=user, message_id=message)
        for organization, user, message in await system.rows(select(*found.c))
    ]
