"""Conversations with Maya: what was said, and by whom. What she does to answer is in `services.maya`."""

from services.conversations.changing import ReplyOpen, cancel, send, start
from services.conversations.reading import (
    CONVERSATIONS,
    MESSAGES,
    OPEN,
    ConversationRow,
    Failure,
    MessageRow,
    get_reply,
    said_before,
)
from services.conversations.work import RunReply, reply_log

__all__ = [
    "CONVERSATIONS",
    "MESSAGES",
    "OPEN",
    "ConversationRow",
    "Failure",
    "MessageRow",
    "ReplyOpen",
    "RunReply",
    "cancel",
    "get_reply",
    "reply_log",
    "said_before",
    "send",
    "start",
]
