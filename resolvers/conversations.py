"""Conversations with Maya."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Final, cast

import strawberry

from core.access.permissions import Permission
from core.ids import global_ids
from core.listing.pages import page_request
from execution import Column, rows
from models.conversations import MessageRole, MessageStatus, ReplyFailure
from resolvers.context import Info
from resolvers.fields import Requires, Unaudited, mutation, query, subscription
from resolvers.listing import connection
from resolvers.nodes import NodeType
from resolvers.relations import connections_of, relation
from schema.connections import After, Before, First, Last
from schema.conversations import (
    CONVERSATION_MESSAGES,
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
from schema.nodes import uuid_of
from services.conversations import changing
from services.conversations.reading import CONVERSATIONS, MESSAGES, ConversationRow, Failure, MessageRow
from services.maya import watching
from services.maya.events import Token, ToolFinished, ToolStarted
from services.maya.watching import ReplyEvent

rows.register(Conversation, ConversationRow, ("id",), id=Column("id", global_ids("Conversation")))
rows.register(MayaFailure, Failure, code=Column("code", ReplyFailure))
rows.register(
    MayaMessage,
    MessageRow,
    ("error_code", "error_message"),
    id=Column("id", global_ids("MayaMessage")),
    role=Column("role", MessageRole),
    status=Column("status", MessageStatus),
)
relation(CONVERSATION_MESSAGES, connections_of(MESSAGES), permission=Permission.CONVERSATION_READ)
NODES: Final = (
    NodeType("Conversation", Permission.CONVERSATION_READ, CONVERSATIONS.by_ids),
    NodeType("MayaMessage", Permission.CONVERSATION_READ, MESSAGES.by_ids),
)

OWN_RECORD = Unaudited("The conversation and its messages are the record, and only their owner can read them.")


def _conversation_of(row: ConversationRow) -> Conversation:
    """The conversation of a row: the API's type is read from the row itself."""
    return cast("Conversation", row)


def _message_of(row: MessageRow) -> MayaMessage:
    """The message of a row: the API's type is read from the row itself."""
    return cast("MayaMessage", row)


def _event_of(event: ReplyEvent) -> MayaEvent:
    """The API's event of a reply's event."""
    match event.event:
        case Token(text):
            return MayaToken(sequence=event.sequence, text=text)
        case ToolStarted(name):
            return MayaToolStarted(sequence=event.sequence, name=name)
        case ToolFinished(name, succeeded):
            return MayaToolFinished(sequence=event.sequence, name=name, succeeded=succeeded)
    if event.reply is None:
        raise AssertionError("an ended reply comes with its last event")
    reply, failure = _message_of(event.reply), event.reply.failure
    if failure is None:
        return MayaReplyCompleted(sequence=event.sequence, message=reply, reply=reply)
    return MayaReplyFailed(
        sequence=event.sequence, code=ReplyFailure(failure.code), reason=failure.message, reply=reply
    )


@strawberry.type
class ConversationQueries:
    @query(Requires(Permission.CONVERSATION_READ))
    async def conversations(
        self, info: Info, first: First = None, last: Last = None, after: After = None, before: Before = None
    ) -> ConversationConnection:
        """Your conversations with Maya, the most recently updated first."""
        return await connection(info, CONVERSATIONS, page_request(first, last, after, before))

    @query(Requires(Permission.CONVERSATION_READ))
    async def conversation(self, info: Info, id: strawberry.ID) -> Conversation | None:  # noqa: A002 - Relay's name
        """One of your conversations by its ID, or `null` if it does not exist."""
        conversation_id = uuid_of("Conversation", id)
        row = await CONVERSATIONS.get(info.context.reads, conversation_id) if conversation_id else None
        return _conversation_of(row) if row else None


@strawberry.type
class ConversationMutations:
    @mutation(Requires(Permission.CONVERSATION_WRITE), audit=OWN_RECORD)
    async def start_conversation(
        self,
        info: Info,
        input: StartConversationInput,  # noqa: A002 - the API's name
    ) -> StartConversationPayload:
        """Start a conversation with Maya, the AI assistant.

        `FEATURE_UNAVAILABLE` if the installation has no language model.
        """
        async with info.context.work() as uow:
            row = await changing.start(uow, title=input.title, features=info.context.dependencies.features)
        return StartConversationPayload(conversation=_conversation_of(row))

    @mutation(Requires(Permission.CONVERSATION_WRITE), audit=OWN_RECORD)
    async def send_maya_message(
        self,
        info: Info,
        input: SendMayaMessageInput,  # noqa: A002 - the API's name
    ) -> SendMayaMessagePayload:
        """Send a message to Maya. Her reply is written in the background; subscribe to `mayaReply` to follow it.

        A conversation has one reply at a time. Maya can read only what you have permission to read.
        `FEATURE_UNAVAILABLE` if the installation has no language model.
        """
        async with info.context.work() as uow:
            message, reply = await changing.send(
                uow,
                uuid_of("Conversation", input.conversation_id),
                input.text,
                features=info.context.dependencies.features,
            )
        conversation = await CONVERSATIONS.get(info.context.reads, message.conversation_id)
        return SendMayaMessagePayload(
            message=_message_of(message),
            reply=_message_of(reply),
            conversation=_conversation_of(conversation) if conversation else None,
        )

    @mutation(Requires(Permission.CONVERSATION_WRITE), audit=OWN_RECORD)
    async def cancel_maya_reply(
        self,
        info: Info,
        input: CancelMayaReplyInput,  # noqa: A002 - the API's name
    ) -> CancelMayaReplyPayload:
        """Stop a reply. The text written until then is kept, and its stream ends with `MayaReplyCompleted`.

        Repeating the call changes nothing.
        """
        async with info.context.work() as uow:
            reply = await changing.cancel(uow, uuid_of("MayaMessage", input.message_id))
        return CancelMayaReplyPayload(reply=_message_of(reply))


@strawberry.type
class ConversationSubscriptions:
    @subscription(Requires(Permission.CONVERSATION_READ))
    async def maya_reply(
        self,
        info: Info,
        message_id: Annotated[
            strawberry.ID, strawberry.argument(description="ID of the reply, which is a `MayaMessage`.")
        ],
        after: Annotated[
            int, strawberry.argument(description="The `sequence` of the last event you received. 0 for all events.")
        ] = 0,
    ) -> AsyncGenerator[MayaEvent, None]:
        """The events of a reply, each once and in order, until `MayaReplyCompleted` or `MayaReplyFailed`.

        After a lost connection, pass `after` to continue. Events are stored for one hour after the last one; later,
        the stream of a reply that has ended consists of its last event, which contains the whole text.

        Ends with the error `NOT_FOUND` if the ID is not that of a reply in one of your conversations.
        """
        replies = info.context.dependencies.replies
        events = watching.watch(replies, info.context.reads, uuid_of("MayaMessage", message_id), after=after)
        async with aclosing(events):
            async for each in events:
                yield _event_of(each)
