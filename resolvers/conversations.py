"""Conversations with Maya."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Annotated, cast
from uuid import UUID

import strawberry

from core.access.permissions import Permission
from core.listing.pages import page_request
from models.conversations import MessageRole, MessageStatus, ReplyFailure
from resolvers.connections import connection_of
from resolvers.context import Info, RequestContext
from resolvers.fields import Requires, Unaudited, mutation, query, subscription
from resolvers.nodes import fetches
from schema.connections import After, Before, Connection, First, Last
from schema.conversations import (
    CancelMayaReplyInput,
    CancelMayaReplyPayload,
    Conversation,
    ConversationConnection,
    MayaEvent,
    MayaFailure,
    MayaMessage,
    MayaReplyCompleted,
    MayaReplyFailed,
    MayaToken,
    MayaToolFinished,
    MayaToolStarted,
    SendMayaMessageInput,
    SendMayaMessagePayload,
    StartConversationInput,
    StartConversationPayload,
)
from schema.nodes import global_id, uuid_of
from schema.scalars import DateTime
from services import conversations, maya
from services.conversations import CONVERSATIONS, MESSAGES, ConversationRow, MessageRow

OWN_RECORD = Unaudited("The conversation and its messages are the record, and their owner's own.")


def conversation_of(context: RequestContext, row: ConversationRow) -> Conversation:
    """A conversation as the API shows it."""
    return Conversation(
        id=global_id("Conversation", row.id),
        details=Details(context, row.id),
        title=row.title,
        created_at=DateTime(row.created_at),
        updated_at=DateTime(row.updated_at),
    )


def message_of(row: MessageRow) -> MayaMessage:
    """A message as the API shows it."""
    return MayaMessage(
        id=global_id("MayaMessage", row.id),
        role=MessageRole(row.role),
        status=MessageStatus(row.status),
        content=row.content,
        failure=MayaFailure(code=ReplyFailure(row.error_code), message=row.error_message or "")
        if row.error_code
        else None,
        model=row.model,
        created_at=DateTime(row.created_at),
        completed_at=cast("DateTime | None", row.completed_at),
    )


def event_of(shown: maya.Shown) -> MayaEvent:
    """An event of a reply as the API shows it."""
    match shown.event:
        case maya.Token(text):
            return MayaToken(sequence=shown.sequence, text=text)
        case maya.ToolStarted(name):
            return MayaToolStarted(sequence=shown.sequence, name=name)
        case maya.ToolFinished(name, succeeded):
            return MayaToolFinished(sequence=shown.sequence, name=name, succeeded=succeeded)
    if shown.reply is None:
        raise AssertionError("an ended reply comes with its last event")
    reply = message_of(shown.reply)
    if reply.failure is None:
        return MayaReplyCompleted(sequence=shown.sequence, message=reply, reply=reply)
    return MayaReplyFailed(
        sequence=shown.sequence, code=reply.failure.code, reason=reply.failure.message, reply=reply
    )


@dataclass(frozen=True, slots=True)
class Details:
    """What is read about a conversation on demand."""

    context: RequestContext
    conversation_id: UUID

    async def messages(
        self, first: int | None, last: int | None, after: str | None, before: str | None
    ) -> Connection[MayaMessage]:
        """A page of what was said."""
        reads = self.context.reads
        request = page_request(first, last, after, before)
        page = (await MESSAGES.pages_of(reads, [self.conversation_id], request))[self.conversation_id]
        return connection_of(page, message_of, partial(MESSAGES.count, reads, parent=self.conversation_id))


async def read_conversation(info: Info, conversation_id: UUID) -> Conversation | None:
    """One of the caller's own conversations."""
    row = await CONVERSATIONS.get(info.context.reads, conversation_id)
    return conversation_of(info.context, row) if row else None


@fetches("Conversation", Permission.CONVERSATION_READ)
async def fetch_conversations(info: Info, conversation_ids: Sequence[UUID]) -> dict[UUID, Conversation]:
    """The caller's own conversations."""
    rows = await CONVERSATIONS.by_ids(info.context.reads, conversation_ids)
    return {conversation_id: conversation_of(info.context, row) for conversation_id, row in rows.items()}


@fetches("MayaMessage", Permission.CONVERSATION_READ)
async def fetch_messages(info: Info, message_ids: Sequence[UUID]) -> dict[UUID, MayaMessage]:
    """Messages of the caller's own conversations."""
    rows = await MESSAGES.by_ids(info.context.reads, message_ids)
    return {message_id: message_of(row) for message_id, row in rows.items()}


@strawberry.type
class ConversationQueries:
    @query(Requires(Permission.CONVERSATION_READ))
    async def conversations(
        self, info: Info, first: First = None, last: Last = None, after: After = None, before: Before = None
    ) -> ConversationConnection:
        """Your own conversations with Maya, the one that changed last first."""
        reads = info.context.reads
        page = await CONVERSATIONS.page(reads, page_request(first, last, after, before))
        return connection_of(page, partial(conversation_of, info.context), partial(CONVERSATIONS.count, reads))

    @query(Requires(Permission.CONVERSATION_READ))
    async def conversation(self, info: Info, id: strawberry.ID) -> Conversation | None:  # noqa: A002 - Relay's name
        """One of your own conversations by its id, or null when there is none."""
        conversation_id = uuid_of("Conversation", id)
        return await read_conversation(info, conversation_id) if conversation_id else None


@strawberry.type
class ConversationMutations:
    @mutation(Requires(Permission.CONVERSATION_WRITE), audit=OWN_RECORD)
    async def start_conversation(
        self,
        info: Info,
        input: StartConversationInput,  # noqa: A002 - the API's name
    ) -> StartConversationPayload:
        """Begin a conversation with Maya; FEATURE_UNAVAILABLE where the installation has no language model."""
        async with info.context.work() as uow:
            row = await conversations.start(uow, title=input.title, features=info.context.dependencies.features)
        return StartConversationPayload(conversation=conversation_of(info.context, row))

    @mutation(Requires(Permission.CONVERSATION_WRITE), audit=OWN_RECORD)
    async def send_maya_message(
        self,
        info: Info,
        input: SendMayaMessageInput,  # noqa: A002 - the API's name
    ) -> SendMayaMessagePayload:
        """Say something to Maya. She answers in the background: watch `reply` with the subscription `mayaReply`.

        One reply at a time in a conversation; what she may look up is what you may see. FEATURE_UNAVAILABLE where the
        installation has no language model.
        """
        async with info.context.work() as uow:
            message, reply = await conversations.send(
                uow,
                uuid_of("Conversation", input.conversation_id),
                input.text,
                features=info.context.dependencies.features,
            )
        return SendMayaMessagePayload(
            message=message_of(message),
            reply=message_of(reply),
            conversation=await read_conversation(info, message.conversation_id),
        )

    @mutation(Requires(Permission.CONVERSATION_WRITE), audit=OWN_RECORD)
    async def cancel_maya_reply(
        self,
        info: Info,
        input: CancelMayaReplyInput,  # noqa: A002 - the API's name
    ) -> CancelMayaReplyPayload:
        """Stop a reply and keep what was said. Its stream ends with MayaReplyCompleted. Repeating does no harm."""
        async with info.context.work() as uow:
            reply = await conversations.cancel(uow, uuid_of("MayaMessage", input.message_id))
        return CancelMayaReplyPayload(reply=message_of(reply))


@strawberry.type
class ConversationSubscriptions:
    @subscription(Requires(Permission.CONVERSATION_READ))
    async def maya_reply(
        self,
        info: Info,
        message_id: Annotated[strawberry.ID, strawberry.argument(description="Global id of a reply of Maya's.")],
        after: Annotated[
            int, strawberry.argument(description="The last `sequence` you have seen; 0 for all from the beginning.")
        ] = 0,
    ) -> AsyncGenerator[MayaEvent, None]:
        """A reply as Maya makes it: every event once and in order, up to MayaReplyCompleted or MayaReplyFailed.

        Come back with `after` after a lost connection and you get the rest; any number of viewers see the same. The
        events are kept for an hour after the last one. When they are gone, the stream of an ended reply is its last
        event alone, which holds the whole text. Ends with the error NOT_FOUND for what is no reply of yours.
        """
        replies = info.context.dependencies.replies
        shown = maya.watch(replies, info.context.caller.tenant, uuid_of("MayaMessage", message_id), after=after)
        async with aclosing(shown):
            async for each in shown:
                yield event_of(each)
