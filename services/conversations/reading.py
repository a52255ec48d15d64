"""Reading conversations and messages. By Row Level Security only their author can see them."""

from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from core.database.scopes import Reader
from core.listing.listing import Listing
from core.listing.orders import Order
from models.conversations import Conversation, MayaMessage, MessageRole, MessageStatus

OPEN: Final = (MessageStatus.PENDING, MessageStatus.STREAMING)


class ConversationRow(NamedTuple):
    """A conversation without its messages."""

    id: UUID
    title: str | None
    created_at: datetime
    updated_at: datetime


class Failure(NamedTuple):
    """Why a reply failed; `code` is a value of `ReplyFailure`."""

    code: str
    message: str


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
    def failure(self) -> Failure | None:
        """Why it failed, or None."""
        return Failure(self.error_code, self.error_message or "") if self.error_code else None

    @property
    def is_open(self) -> bool:
        """Whether the reply has not ended."""
        return self.status in OPEN


CONVERSATIONS: Final = Listing(
    ConversationRow,
    Conversation,
    noun="conversation",
    id_field=("input", "conversationId"),
    order=Order(Conversation.updated_at, descending=True),
)
MESSAGES: Final = Listing(
    MessageRow,
    MayaMessage,
    noun="message",
    id_field=("input", "messageId"),
    order=Order(MayaMessage.created_at),
    parent=MayaMessage.conversation_id,
)


async def get_reply(reads: Reader, message_id: UUID | None) -> MessageRow | None:
    """Maya's reply with this id in one of the caller's conversations, or None."""
    message = await MESSAGES.get(reads, message_id) if message_id else None
    return message if message and message.role == MessageRole.ASSISTANT else None


async def previous_messages(reads: Reader, message: MessageRow, *, limit: int) -> list[MessageRow]:
    """The newest messages before an open reply, oldest first; an open reply is always the last message."""
    rows = await reads.rows(
        MESSAGES.select.where(
            MayaMessage.conversation_id == message.conversation_id,
            MayaMessage.id != message.id,
            MayaMessage.status.not_in([str(status) for status in OPEN]),
        )
        .order_by(MayaMessage.created_at.desc(), MayaMessage.id.desc())
        .limit(limit)
    )
    return [MessageRow._make(row) for row in reversed(rows)]
