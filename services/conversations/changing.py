"""What a person does in a conversation: begin it, say something, stop the answer."""

from typing import Final
from uuid import UUID

from sqlalchemy import func, insert, select, update

from core import texts
from core.database.scopes import first
from core.errors import Conflict, ErrorCode, InvalidInput, NotFound
from core.ids import new_id
from core.pubsub import log_topic, message_topic
from core.unit_of_work import UnitOfWork
from models.conversations import Conversation, Message, MessageRole, MessageStatus
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

LONGEST_TITLE: Final = 200
LONGEST_TEXT: Final = 8_000
TITLE_FROM_TEXT: Final = 80


class ReplyOpen(Conflict):
    """Maya is still answering in this conversation."""


def author(uow: UnitOfWork) -> UUID:
    """The person who speaks; conversations are for people, never for the system."""
    return uow.actor.person_id


async def start(uow: UnitOfWork, *, title: str | None, features: Features = ALL) -> ConversationRow:
    """A new, empty conversation. Raises `FeatureUnavailable`, or `InvalidInput` for a title that does not fit."""
    features.require(Feature.MAYA)
    clean = texts.clean_line(title or "", field=("input", "title"), max_length=LONGEST_TITLE)
    rows = await uow.rows(
        insert(Conversation)
        .values(id=new_id(), organization_id=uow.tenant.organization_id, user_id=author(uow), title=clean or None)
        .returning(*CONVERSATIONS.columns)
    )
    return ConversationRow._make(rows[0])


async def send(
    uow: UnitOfWork, conversation_id: UUID | None, text: str, *, features: Features = ALL
) -> tuple[MessageRow, MessageRow]:
    """Store what the person says and an empty reply, and enqueue the reply's run: (message, reply).

    Raises `FeatureUnavailable`, `NotFound`, `InvalidInput`, or `ReplyOpen` while another reply of the conversation is
    being made.
    """
    features.require(Feature.MAYA)
    said = check_text(text)
    conversation = await lock_conversation(uow, conversation_id, said)
    shared = {
        "organization_id": uow.tenant.organization_id,
        "user_id": author(uow),
        "conversation_id": conversation,
    }
    # Both are created at the same moment; their ids say which comes first.
    spoken = [
        {
            "id": new_id(),
            "role": str(MessageRole.USER),
            "status": str(MessageStatus.COMPLETED),
            "content": said,
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
    statement = insert(Message).values([shared | message for message in spoken]).returning(*MESSAGES.columns)
    message, reply = sorted(map(MessageRow._make, await uow.rows(statement)), key=lambda row: row.id)
    uow.enqueue(RunReply(organization_id=uow.tenant.organization_id, user_id=author(uow), message_id=reply.id))
    return message, reply


def check_text(text: str) -> str:
    """The text without the blanks around it; raises `InvalidInput` when it is empty, too long or holds controls."""
    field = ("input", "text")
    said = texts.clean_prose(text, field=field, max_length=LONGEST_TEXT).strip()
    if texts.is_blank(said):
        raise InvalidInput("Say something to Maya.", field=field, code=ErrorCode.REQUIRED)
    return said


async def lock_conversation(uow: UnitOfWork, conversation_id: UUID | None, said: str) -> UUID:
    """Lock a conversation for the next message, naming it if it has no name; one reply at a time."""
    title = texts.strip_directions(said.strip().splitlines()[0])[:TITLE_FROM_TEXT].strip()
    locked = await uow.rows(
        update(Conversation)
        .where(Conversation.id == conversation_id)
        .values(updated_at=func.now(), title=func.coalesce(Conversation.title, title or None))
        .returning(Conversation.id)
    )
    if not locked:
        raise NotFound("There is no such conversation.", field=("input", "conversationId"))
    waiting = select(Message.id).where(
        Message.conversation_id == conversation_id, Message.status.in_([str(status) for status in OPEN])
    )
    if await first(uow, waiting):
        raise ReplyOpen(
            "Maya is still answering in this conversation.",
            field=("input", "conversationId"),
            suggestion="Wait until `mayaReply` ends, or stop it with `cancelMayaReply`.",
        )
    return locked[0][0]


async def cancel(uow: UnitOfWork, message_id: UUID | None) -> MessageRow:
    """Stop a reply, keeping what was said; one that has ended stays as it is. Raises `NotFound`.

    A reply that no worker has taken yet ends here; else its worker ends it, within a second.
    """
    mine = update(Message).where(Message.id == message_id, Message.role == MessageRole.ASSISTANT)
    untaken = await uow.execute(
        mine.where(Message.status == MessageStatus.PENDING).values(
            status=MessageStatus.CANCELLED,
            cancel_requested_at=func.now(),
            completed_at=func.now(),
            last_sequence=Message.last_sequence + 1,
        )
    )
    if not untaken.rowcount:
        await uow.execute(
            mine.where(Message.status == MessageStatus.STREAMING).values(
                cancel_requested_at=func.coalesce(Message.cancel_requested_at, func.now())
            )
        )
    reply = await get_reply(uow, message_id)
    if reply is None:
        raise NotFound("There is no such reply.", field=("input", "messageId"))
    uow.publish(message_topic(uow.tenant.organization_id, reply.id))
    uow.publish(log_topic(reply_log(uow.tenant.organization_id, reply.id)))
    return reply
