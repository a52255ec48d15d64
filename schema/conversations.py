"""Conversations with Maya, and the events of a reply."""

from typing import Annotated, Final
from uuid import UUID

import strawberry

from core.listing.pages import page_request
from models import conversations
from schema.connections import After, Before, Connection, First, Last
from schema.errors import USER_ERRORS, UserError
from schema.fields import on_demand
from schema.nodes import Node
from schema.relations import Relation, key_of
from schema.scalars import DateTime

MayaMessageRole = strawberry.enum(
    conversations.MessageRole, name="MayaMessageRole", description="Who speaks: USER is the person, ASSISTANT Maya."
)
MayaMessageStatus = strawberry.enum(
    conversations.MessageStatus,
    name="MayaMessageStatus",
    description=(
        "How far a message is. A person's is COMPLETED at once. A reply is PENDING until Maya begins, then "
        "STREAMING; it ends COMPLETED, CANCELLED or FAILED, and keeps in each case what was said."
    ),
)
MayaReplyFailureCode = strawberry.enum(
    conversations.ReplyFailure,
    name="MayaReplyFailureCode",
    description=(
        "Why a reply failed. In each case show the reply's content, if it has any: it is what was said until then. "
        "MODEL_UNAVAILABLE: the language model did not answer, or broke off; ask again later. "
        "MODEL_REFUSED: it will not answer this, or not for this installation's key; words in which the model itself "
        "declined are the reply's content. CUT_OFF: the answer reached the most tokens that one may have and stops "
        "in the middle; mark it as cut off, and let the person ask Maya to go on. CONTENT_FILTERED: the provider's "
        "content filter stopped it. TIMEOUT: it took too long. RUN_LIMIT: more text, steps or look-ups than one "
        "reply may take. INTERRUPTED: the worker died in the middle. INTERNAL: our fault."
    ),
)


@strawberry.type(description="Why a reply ended without being complete.")
class MayaFailure:
    code: conversations.ReplyFailure = strawberry.field(description="The reason, for programs.")
    message: str = strawberry.field(description="The reason, for people. Wording may change.")


@strawberry.type(description="What was said in a conversation, by the person or by Maya.")
class MayaMessage(Node):
    role: conversations.MessageRole = strawberry.field(description="Who speaks.")
    status: conversations.MessageStatus = strawberry.field(description="How far the message is.")
    content: str = strawberry.field(
        description=(
            "What was said. Maya's words are Markdown without images and HTML; addresses that do not lead to this "
            "product are broken by a blank, so that they are text and no links. Of a reply that is STREAMING it is "
            "what was stored some seconds ago; `mayaReply` has it live."
        )
    )
    failure: MayaFailure | None = strawberry.field(description="Why the reply is FAILED; null otherwise.")
    model: str | None = strawberry.field(description="The language model that spoke; null for a person's words.")
    created_at: DateTime = strawberry.field(description="When the person spoke, or asked for the reply.")
    completed_at: DateTime | None = strawberry.field(description="When it ended; null while more is to come.")


MayaMessageConnection = Connection[MayaMessage]
CONVERSATION_MESSAGES: Final = Relation[UUID, MayaMessageConnection]("Conversation.messages")


@strawberry.type(description="A conversation with Maya. Only the person who began it can see it.")
class Conversation(Node):
    title: str | None = strawberry.field(
        description="The title it was given, else the beginning of its first message; null while it is empty."
    )
    created_at: DateTime = strawberry.field(description="When it began.")
    updated_at: DateTime = strawberry.field(description="When something was last said in it.")

    @on_demand("What was said, in the order it was said. The newest messages are `last: n`.")
    async def messages(
        self,
        info: strawberry.Info,
        first: First = None,
        last: Last = None,
        after: After = None,
        before: Before = None,
    ) -> Connection[MayaMessage]:
        """Read together for all conversations of an answer."""
        return await CONVERSATION_MESSAGES.of(info, key_of(self), page_request(first, last, after, before))


ConversationConnection = Connection[Conversation]

SEQUENCE = "Rises by one from event to event, from 1 on; give the last one you saw as `after` to go on from there."


@strawberry.type(description="The next piece of Maya's text. All of them in order, joined, are the reply's content.")
class MayaToken:
    sequence: int = strawberry.field(description=SEQUENCE)
    text: str = strawberry.field(description="A piece of Markdown, one or more words.")


@strawberry.type(description="Maya begins to look something up.")
class MayaToolStarted:
    sequence: int = strawberry.field(description=SEQUENCE)
    name: str = strawberry.field(
        description="What she uses: `list_campaigns`, `campaign_stats`, `count_contacts`; `unknown` if there is none."
    )


@strawberry.type(description="Maya has looked something up.")
class MayaToolFinished:
    sequence: int = strawberry.field(description=SEQUENCE)
    name: str = strawberry.field(description="What she used.")
    succeeded: bool = strawberry.field(description="Whether it told her something; false when it refused.")


@strawberry.type(
    description=(
        "The reply has ended, complete or cancelled (see the message's `status`). The last event. Its content is all "
        "that was said, so a viewer who missed pieces has the whole here."
    )
)
class MayaReplyCompleted:
    sequence: int = strawberry.field(description=SEQUENCE)
    message: MayaMessage = strawberry.field(description="The reply as it is stored.")
    reply: MayaMessage = strawberry.field(description="The same as `message`, as MayaReplyFailed names it.")


@strawberry.type(description="The reply has ended without being complete. The last event; what was said is kept.")
class MayaReplyFailed:
    sequence: int = strawberry.field(description=SEQUENCE)
    code: conversations.ReplyFailure = strawberry.field(description="The reason, for programs.")
    reason: str = strawberry.field(description="The reason, for people. Wording may change.")
    reply: MayaMessage = strawberry.field(description="The reply as it is stored, with what was said.")


MayaEvent = Annotated[
    MayaToken | MayaToolStarted | MayaToolFinished | MayaReplyCompleted | MayaReplyFailed,
    strawberry.union(
        "MayaEvent",
        description="What happens in a reply. Ignore kinds you do not know: more will come.",
    ),
]


@strawberry.input(description="A new conversation.")
class StartConversationInput:
    title: str | None = strawberry.field(
        default=None, description="Up to 200 characters; without one, the first message gives it."
    )


@strawberry.type(description="The new conversation.")
class StartConversationPayload:
    conversation: Conversation | None = strawberry.field(default=None, description="The conversation, still empty.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.input(description="Something to say to Maya.")
class SendMayaMessageInput:
    conversation_id: strawberry.ID = strawberry.field(
        description=(
            "Global id of one of your conversations, else NOT_FOUND. CONFLICT while Maya is still answering in it."
        )
    )
    text: str = strawberry.field(
        description="1 to 8,000 characters, line breaks allowed; INVALID with other control characters."
    )


@strawberry.type(description="What was said, and the reply that Maya will make.")
class SendMayaMessagePayload:
    message: MayaMessage | None = strawberry.field(default=None, description="The person's message.")
    reply: MayaMessage | None = strawberry.field(
        default=None, description="Maya's reply, empty and PENDING; watch it with `mayaReply`."
    )
    conversation: Conversation | None = strawberry.field(default=None, description="The conversation.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.input(description="A reply to stop.")
class CancelMayaReplyInput:
    message_id: strawberry.ID = strawberry.field(
        description="Global id of the reply; NOT_FOUND for any other. A reply that has ended stays as it is."
    )


@strawberry.type(description="The reply that stops.")
class CancelMayaReplyPayload:
    reply: MayaMessage | None = strawberry.field(
        default=None,
        description="The reply. When Maya had begun it may still be STREAMING, and is CANCELLED within a second.",
    )
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)
