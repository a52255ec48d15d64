"""A user's changes of a conversation: start it, send a message, cancel a reply."""

from typing import Final
from uuid import UUID

from sqlalchemy import func, insert, select, update

from core import texts
from core.database.scopes import first
from core.errors import Conflict, ErrorCode, InvalidInput, NotFound
from core.ids import new_id
from core.pubsub import log_topic, message_topic
from core.unit_of_work import UnitOfWork
from models.conversations import Conversation, MayaMessage, MessageRole, MessageStatus
from services.conversations.reading import (
    CONVERSATIONS,
    MESSAGES,
    OPEN,
    ConversationRow,
    MessageRow,
    get_reply,
)
from services.conversations.work import RunReply, reply_log
from services.features import ALL, Feature, Features

_MAX_TITLE_LENGTH: Final = 200
_MAX_TEXT_LENGTH: Final = 8_000
_DEFAULT_TITLE_LENGTH: Final = 80


class ReplyInProgress(Conflict):
    """Maya is still replying in this conversation."""


def _author_id(uow: UnitOfWork) -> UUID:
    """The user who writes; only users have conversations, never the system."""
    return uow.actor.require_user_id()


async def start(uow: UnitOfWork, *, title: str | None, features: Features = ALL) -> ConversationRow:
    """Create an empty conversation. Raises `FeatureUnavailable`, or `InvalidInput` for an invalid title."""
    features.require(Feature.MAYA)
    clean = texts.clean_line(title or "", field=("input", "title"), max_length=_MAX_TITLE_LENGTH)
    rows = await uow.rows(
        insert(Conversation)
        .values(id=new_id(), organization_id=uow.tenant.organization_id, user_id=_author_id(uow), title=clean or None)
        .returning(*CONVERSATIONS.columns)
    )
    return ConversationRow._make(rows[0])


async def send(
    uow: UnitOfWork, conversation_id: UUID | None, text: str, *, features: Features = ALL
) -> tuple[MessageRow, MessageRow]:
    """Store the user's message and an empty reply, and enqueue the reply's run; returns (message, reply).

    Raises `FeatureUnavailable`, `NotFound`, `InvalidInput`, or `ReplyInProgress` while the conversation has an open
    reply.
    """
    features.require(Feature.MAYA)
    text = _check_text(text)
    conversation = await _lock_conversation(uow, conversation_id, text)
    shared = {
        "organization_id": uow.tenant.organization_id,
        "user_id": _author_id(uow),
        "conversation_id": conversation,
    }
    # Both have the same `created_at`; their ids give the order.
    messages = [
        {
            "id": new_id(),
            "role": str(MessageRole.USER),
            "status": str(MessageStatus.COMPLETED),
            "content": text,
            "completed_at": func.now(),
        },
        {
            "id": new_id(),
            "role": str(MessageRole.ASSISTANT),
            "status": str(MessageStatus.PENDING),
            "content": "",
            "completed_at": None,
        },
    ]
    statement = insert(MayaMessage).values([shared | message for message in messages]).returning(*MESSAGES.columns)
    message, reply = sorted(map(MessageRow._make, await uow.rows(statement)), key=lambda row: row.id)
    uow.enqueue(RunReply(organization_id=uow.tenant.organization_id, user_id=_author_id(uow), message_id=reply.id))
    return message, reply


def _check_text(text: str) -> str:
    """The trimmed text; raises `InvalidInput` if it is empty, too long or contains control characters."""
    field = ("input", "text")
    text = texts.clean_prose(text, field=field, max_length=_MAX_TEXT_LENGTH).strip()
    if texts.is_blank(text):
        raise InvalidInput("The message cannot be empty.", field=field, code=ErrorCode.REQUIRED)
    return text


async def _lock_conversation(uow: UnitOfWork, conversation_id: UUID | None, text: str) -> UUID:
    """Lock the conversation for a new message, and set a title if it has none.

    Raises `NotFound`, or `ReplyInProgress`: a conversation has at most one open reply.
    """
    title = texts.strip_directions(text.strip().splitlines()[0])[:_DEFAULT_TITLE_LENGTH].strip()
    locked = await uow.rows(
        update(Conversation)
        .where(Conversation.id == conversation_id)
        .values(updated_at=func.now(), title=func.coalesce(Conversation.title, title or None))
        .returning(Conversation.id)
    )
    if not locked:
        raise NotFound("There is no such conversation.", field=("input", "conversationId"))
    unfinished = select(MayaMessage.id).where(
        MayaMessage.conversation_id == conversation_id, MayaMessage.status.in_([str(status) for status in OPEN])
    )
    if await first(uow, unfinished):
        raise ReplyInProgress(
            "Maya is still replying in this conversation.",
            field=("input", "conversationId"),
            suggestion="Wait until `mayaReply` ends, or stop the reply with `cancelMayaReply`.",
        )
    return locked[0][0]


async def cancel(uow: UnitOfWork, message_id: UUID | None) -> MessageRow:
    """Cancel a reply; the text so far is kept. A reply that has ended stays as it is. Raises `NotFound`.

    A reply that no worker has leased yet ends here; otherwise its worker ends it within a second.
    """
    update_reply = update(MayaMessage).where(MayaMessage.id == message_id, MayaMessage.role == MessageRole.ASSISTANT)
    not_started = await uow.execute(
        update_reply.where(MayaMessage.status == MessageStatus.PENDING).values(
            status=MessageStatus.CANCELLED,
            cancel_requested_at=func.now(),
            completed_at=func.now(),
            last_sequence=MayaMessage.last_sequence + 1,
        )
    )
    if not not_started.rowcount:
        await uow.execute(
            update_reply.where(MayaMessage.status == MessageStatus.STREAMING).values(
                cancel_requested_at=func.coalesce(MayaMessage.cancel_requested_at, func.now())
            )
        )
    reply = await get_reply(uow, message_id)
    if reply is None:
        raise NotFound("There is no such reply.", field=("input", "messageId"))
    uow.publish(message_topic(uow.tenant.organization_id, reply.id))
    uow.publish(log_topic(reply_log(uow.tenant.organization_id, reply.id)))
    return reply
