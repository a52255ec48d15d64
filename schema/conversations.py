"""Conversations with Maya, and the events of a reply."""

from typing import Annotated, Final
from uuid import UUID

import strawberry

from core.listing.pages import page_request
from models import conversations
from schema.connections import After, Before, Connection, First, Last
from schema.enums import described_enum
from schema.errors import USER_ERRORS, UserError
from schema.fields import on_demand
from schema.nodes import Node
from schema.relations import Relation, key_of
from schema.scalars import DateTime

MayaMessageRole = described_enum(
    conversations.MessageRole,
    name="MayaMessageRole",
    description="Author of a message.",
    values={
        "USER": "The user.",
        "ASSISTANT": "Maya, the AI assistant.",
    },
)
MayaMessageStatus = described_enum(
    conversations.MessageStatus,
    name="MayaMessageStatus",
    description="Status of a message. A message of a user is `COMPLETED` from the start.",
    values={
        "PENDING": "Maya has not started the reply yet.",
        "STREAMING": "Maya is writing the reply.",
        "COMPLETED": "The message is complete.",
        "CANCELLED": "The user stopped the reply. The text written until then is kept.",
        "FAILED": "The reply could not be completed, see `failure`. The text written until then is kept.",
    },
)
MayaReplyFailureCode = described_enum(
    conversations.ReplyFailure,
    name="MayaReplyFailureCode",
    description=(
        "Machine-readable reason why a reply failed. The reply may still contain text, which should be shown "
        "in every case."
    ),
    values={
        "MODEL_UNAVAILABLE": "The language model did not respond, or stopped responding. Try again later.",
        "MODEL_REFUSED": (
            "The language model declined to answer, or its server refused the request, for example because the "
            "installation has no access to the model; `failure` states which. If the model explained why it "
            "declined, the explanation is the content of the reply."
        ),
        "CUT_OFF": (
            "The reply reached the maximum number of tokens and is cut off. The user can ask Maya to continue."
        ),
        "CONTENT_FILTERED": "The content filter of the model's provider stopped the reply.",
        "TIMEOUT": "The reply took too long.",
        "RUN_LIMIT": "The reply exceeded a limit on its length, its steps or its tool calls.",
        "INTERRUPTED": "The server process that wrote the reply stopped.",
        "INTERNAL": "An internal error occurred.",
    },
)


@strawberry.type(description="The reason why a reply failed.")
class MayaFailure:
    code: conversations.ReplyFailure = strawberry.field(description="Machine-readable reason.")
    message: str = strawberry.field(
        description="Human-readable reason. The wording may change; use `code` in programs."
    )


@strawberry.type(description="A message of a conversation, written by the user or by Maya.")
class MayaMessage(Node):
    role: conversations.MessageRole = strawberry.field(description="Author of the message.")
    status: conversations.MessageStatus = strawberry.field(description="Status of the message.")
    content: str = strawberry.field(
        description=(
            "Text of the message. Maya writes Markdown without images and HTML. A space is inserted "
            "into URLs of sites other than this installation, so that clients do not show them as links.\n\n"
            "While the status is `STREAMING`, this text may be a few seconds old; the subscription "
            "`mayaReply` delivers it live."
        )
    )
    failure: MayaFailure | None = strawberry.field(
        description="The reason why the reply failed. `null` unless the status is `FAILED`."
    )
    model: str | None = strawberry.field(
        description="Language model that wrote the reply. `null` for a message of the user."
    )
    created_at: DateTime = strawberry.field(
        description=("The time at which the user sent the message or, for a reply, requested it.")
    )
    completed_at: DateTime | None = strawberry.field(
        description=(
            "The time at which the message ended, with the status `COMPLETED`, `CANCELLED` or `FAILED`. `null` until "
            "then."
        )
    )


MayaMessageConnection = Connection[MayaMessage]
CONVERSATION_MESSAGES: Final = Relation[UUID, MayaMessageConnection]("Conversation.messages")


@strawberry.type(description="A conversation with Maya, the AI assistant. Only the user who started it can read it.")
class Conversation(Node):
    title: str | None = strawberry.field(
        description=(
            "Title of the conversation. If none was given, it is the beginning of the first message. `null` "
            "while the conversation is empty."
        )
    )
    created_at: DateTime = strawberry.field(description="The time at which the conversation was started.")
    updated_at: DateTime = strawberry.field(description="The time of the latest message.")

    @on_demand("Messages of the conversation, oldest first. Use `last` to get the newest ones.")
    async def messages(
        self,
        info: strawberry.Info,
        first: First = None,
        last: Last = None,
        after: After = None,
        before: Before = None,
    ) -> Connection[MayaMessage]:
        """Read together for all conversations of a response."""
        return await CONVERSATION_MESSAGES.of(info, key_of(self), page_request(first, last, after, before))


ConversationConnection = Connection[Conversation]

SEQUENCE = (
    "Sequence number of the event: 1 for the first event of the reply, then one more for each. After a lost "
    "connection, pass the number of the last event you received as `after` to get the rest."
)


@strawberry.type(
    description=("The next part of the reply's text. The parts in order make up the content of the reply.")
)
class MayaToken:
    sequence: int = strawberry.field(description=SEQUENCE)
    text: str = strawberry.field(description="Markdown text. A part may begin or end within a word.")


@strawberry.type(description="Maya has called a tool to look up data.")
class MayaToolStarted:
    sequence: int = strawberry.field(description=SEQUENCE)
    name: str = strawberry.field(
        description=(
            "Name of the tool: `list_campaigns`, `campaign_stats` or `count_contacts`, or `unknown` if Maya "
            "asked for a tool that does not exist. More tools may be added."
        )
    )


@strawberry.type(description="A tool call has finished.")
class MayaToolFinished:
    sequence: int = strawberry.field(description=SEQUENCE)
    name: str = strawberry.field(description="Name of the tool, as in `MayaToolStarted`.")
    succeeded: bool = strawberry.field(
        description="Whether the tool returned a result. `false` if it returned an error."
    )


@strawberry.type(
    description=(
        "The reply has ended without an error: its status is `COMPLETED`, or `CANCELLED` if the user stopped it. "
        "This is the last event. The reply contains the whole text, including parts that the client has missed."
    )
)
class MayaReplyCompleted:
    sequence: int = strawberry.field(description=SEQUENCE)
    message: MayaMessage = strawberry.field(
        description="The reply, the same as `reply`.",
        deprecation_reason="Use `reply`, which `MayaReplyFailed` has as well.",
    )
    reply: MayaMessage = strawberry.field(description="The reply.")


@strawberry.type(description="The reply has failed. This is the last event. The text written until then is kept.")
class MayaReplyFailed:
    sequence: int = strawberry.field(description=SEQUENCE)
    code: conversations.ReplyFailure = strawberry.field(description="Machine-readable reason.")
    reason: str = strawberry.field(
        description=(
            "Human-readable reason, the same text as `failure { message }` of the reply. The wording may change; use "
            "`code` in programs."
        )
    )
    reply: MayaMessage = strawberry.field(description="The reply with the text written until it failed.")


MayaEvent = Annotated[
    MayaToken | MayaToolStarted | MayaToolFinished | MayaReplyCompleted | MayaReplyFailed,
    strawberry.union(
        "MayaEvent",
        description="An event of a reply. Ignore types that you do not know, as more may be added.",
    ),
]


@strawberry.input(description="Input of `startConversation`.")
class StartConversationInput:
    title: str | None = strawberry.field(
        default=None,
        description=(
            "Title of the conversation, at most 200 characters. If omitted, it is taken from the first message."
        ),
    )


@strawberry.type(description="The result of `startConversation`.")
class StartConversationPayload:
    conversation: Conversation | None = strawberry.field(
        default=None, description="The new, empty conversation. `null` if the mutation was refused."
    )
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.input(description="Input of `sendMayaMessage`.")
class SendMayaMessageInput:
    conversation_id: strawberry.ID = strawberry.field(
        description=(
            "ID of one of your conversations. `NOT_FOUND` if there is no such conversation, `CONFLICT` while "
            "Maya is replying in it."
        )
    )
    text: str = strawberry.field(
        description=(
            "Text of the message, 1 to 8,000 characters. Line breaks are allowed; `INVALID` if it contains other "
            "control characters."
        )
    )


@strawberry.type(description="The result of `sendMayaMessage`.")
class SendMayaMessagePayload:
    message: MayaMessage | None = strawberry.field(
        default=None, description="The user's message. `null` if the mutation was refused."
    )
    reply: MayaMessage | None = strawberry.field(
        default=None,
        description=(
            "Maya's reply, empty and `PENDING` at first. Subscribe to `mayaReply` to follow it. `null` if the "
            "mutation was refused."
        ),
    )
    conversation: Conversation | None = strawberry.field(
        default=None, description="The conversation. `null` if the mutation was refused."
    )
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.input(description="Input of `cancelMayaReply`.")
class CancelMayaReplyInput:
    message_id: strawberry.ID = strawberry.field(
        description=(
            "ID of the reply, which is a `MayaMessage`. `NOT_FOUND` if there is no such reply. A reply that has "
            "already ended stays unchanged."
        )
    )


@strawberry.type(description="The result of `cancelMayaReply`.")
class CancelMayaReplyPayload:
    reply: MayaMessage | None = strawberry.field(
        default=None,
        description=(
            "The reply. It may still be `PENDING` or `STREAMING`; it becomes `CANCELLED` within a second. `null` if "
            "the mutation was refused."
        ),
    )
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)
