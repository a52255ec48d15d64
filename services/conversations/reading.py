"""Reads of conversations and messages. Row Level Security shows them to their author alone."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, bindparam, func, select

from core.database.prepared import prepare
from core.database.scopes import Reads
from core.listing import pages
from core.listing.pages import Order, Page, PageRequest
from models.conversations import Conversation, Message, MessageRole, MessageStatus

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
WANTED: Final = bindparam("wanted", type_=Uuid)
ANY_WANTED: Final = func.any(bindparam("wanted", type_=ARRAY(Uuid)))
EVERY_CONVERSATION: Final = pages.WholeList(select(*CONVERSATION_COLUMNS))
BY_ID: Final = prepare(select(*CONVERSATION_COLUMNS).where(Conversation.id == WANTED))
BY_IDS: Final = prepare(select(*CONVERSATION_COLUMNS).where(Conversation.id == ANY_WANTED))
HOW_MANY: Final = prepare(select(func.count().label("how_many")).select_from(Conversation))
MESSAGES_OF: Final = pages.WholeList(select(*MESSAGE_COLUMNS).where(Message.conversation_id == WANTED))
MESSAGE_BY_ID: Final = prepare(select(*MESSAGE_COLUMNS).where(Message.id == WANTED))
MESSAGES_BY_IDS: Final = prepare(select(*MESSAGE_COLUMNS).where(Message.id == ANY_WANTED))
HOW_MANY_MESSAGES: Final = prepare(
    select(func.count().label("how_many")).select_from(Message).where(Message.conversation_id == WANTED)
)


async def get(reads: Reads, conversation_id: UUID) -> ConversationRow | None:
    """The caller's conversation with this id, or None."""
    rows = await reads.rows_as(ConversationRow, BY_ID, {"wanted": conversation_id})
    return rows[0] if rows else None


async def get_message(reads: Reads, message_id: UUID) -> MessageRow | None:
    """The message with this id in one of the caller's conversations, or None."""
    rows = await reads.rows_as(MessageRow, MESSAGE_BY_ID, {"wanted": message_id})
    return rows[0] if rows else None


async def by_ids(reads: Reads, conversation_ids: Sequence[UUID]) -> dict[UUID, ConversationRow]:
    """The caller's conversations among these ids, in one statement."""
    rows = await reads.rows_as(ConversationRow, BY_IDS, {"wanted": list(conversation_ids)})
    return {row.id: row for row in rows}


async def messages_by_ids(reads: Reads, message_ids: Sequence[UUID]) -> dict[UUID, MessageRow]:
    """The messages among these ids that are in the caller's conversations, in one statement."""
    rows = await reads.rows_as(MessageRow, MESSAGES_BY_IDS, {"wanted": list(message_ids)})
    return {row.id: row for row in rows}


async def get_reply(reads: Reads, message_id: UUID | None) -> MessageRow | None:
    """Maya's message with this id in one of the caller's conversations, or None."""
    found = await get_message(reads, message_id) if message_id else None
    return found if found and found.role == MessageRole.ASSISTANT else None


async def page(reads: Reads, request: PageRequest) -> Page[ConversationRow]:
    """A page of the caller's conversations, the one that changed last first; raises `CursorInvalid`."""
    statement = EVERY_CONVERSATION.paged(LATEST, request)
    rows = await reads.rows_as(ConversationRow, statement, pages.positions(LATEST, request))
    return pages.page_of(rows, LATEST, request)


async def count(reads: Reads) -> int:
    """How many conversations the caller has."""
    return int((await reads.rows(HOW_MANY))[0][0])


async def messages_page(reads: Reads, conversation_id: UUID, request: PageRequest) -> Page[MessageRow]:
    """A page of a conversation, as it was spoken; raises `CursorInvalid`."""
    statement = MESSAGES_OF.paged(AS_SPOKEN, request)
    given = {"wanted": conversation_id, **pages.positions(AS_SPOKEN, request)}
    return pages.page_of(await reads.rows_as(MessageRow, statement, given), AS_SPOKEN, request)


async def count_messages(reads: Reads, conversation_id: UUID) -> int:
    """How many messages a conversation has."""
    return int((await reads.rows(HOW_MANY_MESSAGES, {"wanted": conversation_id}))[0][0])


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
