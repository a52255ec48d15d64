"""Reads of conversations and messages. Row Level Security shows them to their author alone."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import func, select

from core.db import Reads, first
from models.conversations import Conversation, Message, MessageRole, MessageStatus
from services import pages
from services.pages import Order, Page, PageRequest

OPEN: Final = (MessageStatus.PENDING, MessageStatus.STREAMING)


class ConversationRow(NamedTuple):
    """A conversation without its messages."""

    id: UUID
    title: str | None
    created_at: datetime
    updated_at: datetime


class MessageRow(NamedTuple):
    """A message; `role` and `status` are values of `MessageRole` and `MessageStatus`."""

    id: UUID
    conversation_id: UUID
    role: str
    status: str
    content: str
    model: str | None
    error_code: str | None
    error_message: str | None
    last_sequence: int
    created_at: datetime
    completed_at: datetime | None

    @property
    def is_open(self) -> bool:
        """Whether more is to come."""
        return self.status in OPEN


CONVERSATION_COLUMNS: Final[list[Any]] = [getattr(Conversation, name) for name in ConversationRow._fields]
MESSAGE_COLUMNS: Final[list[Any]] = [getattr(Message, name) for name in MessageRow._fields]
LATEST: Final = Order(
    name="conversations.updated",
    key=Conversation.updated_at,
    id=Conversation.id,
    keys=pages.MOMENTS,
    descending=True,
)
AS_SPOKEN: Final = Order(
    name="messages.created",
    key=Message.created_at,
    id=Message.id,
    keys=pages.MOMENTS,
)


async def get(reads: Reads, conversation_id: UUID) -> ConversationRow | None:
    """The caller's conversation with this id, or None."""
    row = await first(reads, select(*CONVERSATION_COLUMNS).where(Conversation.id == conversation_id))
    return ConversationRow._make(row) if row else None


async def get_message(reads: Reads, message_id: UUID) -> MessageRow | None:
    """The message with this id in one of the caller's conversations, or None."""
    row = await first(reads, select(*MESSAGE_COLUMNS).where(Message.id == message_id))
    return MessageRow._make(row) if row else None


async def by_ids(reads: Reads, conversation_ids: Sequence[UUID]) -> dict[UUID, ConversationRow]:
    """The caller's conversations among these ids, in one statement."""
    rows = await reads.rows(select(*CONVERSATION_COLUMNS).where(Conversation.id.in_(conversation_ids)))
    return {row.id: row for row in map(ConversationRow._make, rows)}


async def messages_by_ids(reads: Reads, message_ids: Sequence[UUID]) -> dict[UUID, MessageRow]:
    """The messages among these ids that are in the caller's conversations, in one statement."""
    rows = await reads.rows(select(*MESSAGE_COLUMNS).where(Message.id.in_(message_ids)))
    return {row.id: row for row in map(MessageRow._make, rows)}


async def get_reply(reads: Reads, message_id: UUID | None) -> MessageRow | None:
    """Maya's message with this id in one of the caller's conversations, or None."""
    found = await get_message(reads, message_id) if message_id else None
    return found if found and found.role == MessageRole.ASSISTANT else None


async def page(reads: Reads, request: PageRequest) -> Page[ConversationRow]:
    """A page of the caller's conversations, the one that changed last first; raises `CursorInvalid`."""
    rows = await reads.rows(pages.paged(select(*CONVERSATION_COLUMNS), LATEST, request))
    return pages.page_of([ConversationRow._make(row) for row in rows], LATEST, request)


async def count(reads: Reads) -> int:
    """How many conversations the caller has."""
    return int((await reads.rows(select(func.count()).select_from(Conversation)))[0][0])


async def messages_page(reads: Reads, conversation_id: UUID, request: PageRequest) -> Page[MessageRow]:
    """A page of a conversation, as it was spoken; raises `CursorInvalid`."""
    statement = select(*MESSAGE_COLUMNS).where(Message.conversation_id == conversation_id)
    rows = await reads.rows(pages.paged(statement, AS_SPOKEN, request))
    return pages.page_of([MessageRow._make(row) for row in rows], AS_SPOKEN, request)


async def count_messages(reads: Reads, conversation_id: UUID) -> int:
    """How many messages a conversation has."""
    statement = select(func.count()).select_from(Message).where(Message.conversation_id == conversation_id)
    return int((await reads.rows(statement))[0][0])


async def said_before(reads: Reads, message: MessageRow, *, most: int) -> list[MessageRow]:
    """The newest messages of an open reply's conversation, oldest first; nothing can come after an open reply."""
    rows = await reads.rows(
        select(*MESSAGE_COLUMNS)
        .where(
            Message.conversation_id == message.conversation_id,
            Message.id != message.id,
            Message.status.not_in([str(status) for status in OPEN]),
        )
        .order_by(Message.created_at.desc(), Message.id.desc())
        .limit(most)
    )
    return [MessageRow._make(row) for row in reversed(rows)]
