"""Leases of replies: one run at a time holds a reply, renews its lease, and ends the reply once."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Uuid, and_, column, func, select, update

from core import leases
from core.database.scopes import Reader, SystemScope, first
from core.leases import LeaseLost
from core.pubsub import log_topic, message_topic
from core.unit_of_work import UnitOfWork
from models.conversations import Conversation, MayaMessage, MessageRole, MessageStatus, ReplyFailure
from services.conversations.reading import MESSAGES, OPEN, MessageRow
from services.conversations.work import RunReply, reply_log

LEASE_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A leased reply. `attempt` counts its runs, 1 for the first."""

    reply: MessageRow
    token: UUID
    attempt: int
    cancel_requested: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyResult:
    """The final state of a reply. `last_sequence` is the sequence of the log's last event."""

    status: MessageStatus
    content: str
    last_sequence: int
    failure: ReplyFailure | None = None
    explanation: str | None = None
    model: str | None = None
    usage: Mapping[str, Any] | None = None


async def acquire(uow: UnitOfWork, message_id: UUID) -> Lease | None:
    """Lease an open reply that has no lease or an expired one; None if it has ended or is leased."""
    is_open = MayaMessage.status.in_([str(status) for status in OPEN])
    acquired = await leases.acquire(
        uow,
        MayaMessage,
        and_(MayaMessage.id == message_id, MayaMessage.role == MessageRole.ASSISTANT, is_open),
        seconds=LEASE_SECONDS,
        values={"status": MessageStatus.STREAMING, "attempt": MayaMessage.attempt + 1},
        returning=(*MESSAGES.columns, MayaMessage.attempt, MayaMessage.cancel_requested_at),
    )
    if acquired is None:
        return None
    *reply, attempt, cancel_requested_at = tuple(acquired.row)
    return Lease(
        reply=MessageRow._make(reply),
        token=acquired.token,
        attempt=attempt,
        cancel_requested=cancel_requested_at is not None,
    )


async def cancel_requested(reads: Reader, lease: Lease) -> bool:
    """Whether the user has cancelled the reply. Raises `LeaseLost`."""
    statement = select(MayaMessage.cancel_requested_at).where(
        MayaMessage.id == lease.reply.id, leases.is_held(MayaMessage, lease.token)
    )
    row = await first(reads, statement)
    if row is None:
        raise LeaseLost
    return row[0] is not None


async def renew(uow: UnitOfWork, lease: Lease, *, content: str, last_sequence: int) -> None:
    """Extend the lease, and store the text so far. Raises `LeaseLost`."""
    so_far = {"content": content, "last_sequence": last_sequence}
    is_reply = MayaMessage.id == lease.reply.id
    await leases.renew(uow, MayaMessage, is_reply, lease.token, seconds=LEASE_SECONDS, values=so_far)


async def release(uow: UnitOfWork, lease: Lease) -> None:
    """Release a reply without any output, and enqueue another run. Raises `LeaseLost`."""
    values = {"status": MessageStatus.PENDING}
    await leases.release(uow, MayaMessage, MayaMessage.id == lease.reply.id, lease.token, values=values)
    uow.enqueue(
        RunReply(
            organization_id=uow.tenant.organization_id, user_id=uow.actor.require_user_id(), message_id=lease.reply.id
        )
    )


async def end(uow: UnitOfWork, lease: Lease, ending: ReplyResult) -> None:
    """End the reply, and publish that to its subscribers. Raises `LeaseLost`."""
    await leases.release(
        uow,
        MayaMessage,
        MayaMessage.id == lease.reply.id,
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
    """Jobs for the replies that are pending or whose lease has expired, ordered by id, after an id."""
    names = ("organization_id", "user_id", "message_id")
    replies = func.system.open_replies(after, limit).table_valued(*(column(name, Uuid()) for name in names))
    return [
        RunReply(organization_id=organization, user_id=user, message_id=message)
        for organization, user, message in await system.rows(select(*replies.c))
    ]
