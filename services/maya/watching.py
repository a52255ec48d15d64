"""Subscription to a reply: its events are read from the log, or its result from the row if the log is lost."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from core.database.scopes import Reader
from core.errors import InvalidInput, NotFound
from core.logstream import LogEntry, LogMissing, LogStream
from core.pubsub import Hub
from services.conversations.reading import MessageRow, get_reply
from services.conversations.work import reply_log
from services.maya.events import Event, ReplyEnded, decode

_PAUSE_SECONDS: Final = 0.3
POLL_SECONDS: Final = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyEvent:
    """An event with its sequence; the last one has the ended reply."""

    sequence: int
    event: Event
    reply: MessageRow | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplySource:
    """The stores from which events are read."""

    logs: LogStream
    hub: Hub


async def watch(
    source: ReplySource, reads: Reader, message_id: UUID | None, *, after: int = 0
) -> AsyncGenerator[ReplyEvent, None]:
    """All events of a reply after the sequence `after`, each once and in order, up to the last.

    If Redis has lost the log of an open reply, this waits until the reply's run has written it again. For an ended
    reply only the last event is left, with the whole text. Raises `NotFound`, or `InvalidInput`.
    """
    if after < 0:
        raise InvalidInput("`after` must be the sequence of an event, or 0.", field=("after",))
    reply = await _require_reply(reads, message_id)
    while reply.is_open or after != reply.last_sequence:
        try:
            async with aclosing(_read_log(source, reads, reply, after)) as events:
                async for each in events:
                    yield each
                    after = each.sequence
        except LogMissing:
            reply = await _require_reply(reads, message_id)
        else:
            return
        if not reply.is_open:
            yield ReplyEvent(sequence=max(reply.last_sequence, after + 1), event=ReplyEnded(), reply=reply)
            return
        await asyncio.sleep(_PAUSE_SECONDS)


async def _read_log(
    source: ReplySource, reads: Reader, reply: MessageRow, after: int
) -> AsyncGenerator[ReplyEvent, None]:
    """The events in the log, up to the last. Raises `LogMissing`, or `NotFound` if the reply was deleted."""

    async def is_running() -> bool:
        return (await _require_reply(reads, reply.id)).is_open

    follow = source.logs.follow(
        source.hub,
        reply_log(reads.tenant.organization_id, reply.id),
        after,
        is_last=_is_last,
        is_running=is_running,
        poll_interval=POLL_SECONDS,
    )
    async with aclosing(follow) as entries:
        async for entry in entries:
            event = decode(entry.event)
            ended = await _require_reply(reads, reply.id) if isinstance(event, ReplyEnded) else None
            yield ReplyEvent(sequence=entry.sequence, event=event, reply=ended)


def _is_last(entry: LogEntry) -> bool:
    """Whether this is the last event."""
    return isinstance(decode(entry.event), ReplyEnded)


async def _require_reply(reads: Reader, message_id: UUID | None) -> MessageRow:
    """The caller's reply; raises `NotFound`."""
    reply = await get_reply(reads, message_id)
    if reply is None:
        raise NotFound("There is no such reply.", field=("messageId",))
    return reply
