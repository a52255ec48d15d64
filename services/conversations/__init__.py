"""Conversations with Maya: what was said, and by whom. What she does to answer is in `services.maya`."""

from services.conversations.changing import ReplyOpen, cancel, send, start
from services.conversations.reading import (
    OPEN,
    ConversationRow,
    MessageRow,
    by_ids,
    count,
    count_messages,
    get,
    get_message,
    get_reply,
    messages_by_ids,
    messages_page,
    page,
    said_before,
)
from services.conversations.work import RunReply, reply_log

__all__ = [
    "OPEN",
    "ConversationRow",
    "MessageRow",
    "ReplyOpen",
    "RunReply",
    "by_ids",
    "cancel",
    "count",
    "count_messages",
    "get",
    "get_message",
    "get_reply",
    "messages_by_ids",
    "messages_page",
    "page",
    "reply_log",
    "said_before",
    "send",
    "start",
]
