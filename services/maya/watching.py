"""A reply as its viewers see it: the log while it is there, the row when it is not."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from core.database.scopes import Reads
from core.errors import InvalidInput, NotFound
from core.logstream import LogEntry, LogMissing, LogStream
from core.pubsub import Hub
from services.conversations.reading import MessageRow, get_reply
from services.conversations.work import reply_log
from services.maya.events import Ended, Event, decode

PAUSE_SECONDS: Final = 0.3
POLL_SECONDS: Final = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """An event with its sequence; with the last one comes the ended reply."""

    sequence: int
    event: Event
    reply: MessageRow | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """Where the events of a reply are."""

    logs: LogStream
    hub: Hub


async def watch(
    source: Watch, reads: Reads, message_id: UUID | None, *, after: int = 0
) -> AsyncGenerator[Shown, None]:
    """Every event of a reply that follows `after`, once and in order, up to its last.

    A log that Redis has lost is waited for while the reply is being made, as its run writes it again; of an ended
    reply the last event alone is left, and the whole text with it. Raises `NotFound`, or `InvalidInput`.
    """
    if after < 0:
        raise InvalidInput("`after` is the sequence of an event, or 0.", field=("after",))
    reply = await require_reply(reads, message_id)
    while reply.is_open or after != reply.last_sequence:
        try:
            async with aclosing(logged(source, reads, reply, after)) as shown:
                async for each in shown:
                    yield each
                    after = each.sequence
        except LogMissing:
            reply = await require_reply(reads, message_id)
        else:
            return
        if not reply.is_open:
            yield Shown(sequence=max(reply.last_sequence, after + 1), event=Ended(), reply=reply)
            return
        await asyncio.sleep(PAUSE_SECONDS)


async def logged(source: Watch, reads: Reads, reply: MessageRow, after: int) -> AsyncGenerator[Shown, None]:
    """The events in the log, up to the last. Raises `LogMissing`, or `NotFound` when the reply is deleted."""

    async def is_running() -> bool:
        return (await require_reply(reads, reply.id)).is_open

    follow = source.logs.follow(
        source.hub,
        reply_log(reads.tenant.organization_id, reply.id),
        after,
        is_last=is_last,
        is_running=is_running,
        poll_interval=POLL_SECONDS,
    )
    async with aclosing(follow) as entries:
        async for entry in entries:
            event = decode(entry.event)
            ended = await require_reply(reads, reply.id) if isinstance(event, Ended) else None
            yield Shown(sequence=entry.sequence, event=event, reply=ended)


def is_last(entry: LogEntry) -> bool:
    """Whether nothing follows."""
    return isinstance(decode(entry.event), Ended)


async def require_reply(reads: Reads, message_id: UUID | None) -> MessageRow:
    """The caller's reply; raises `NotFound`."""
    found = await get_reply(reads, message_id)
    if found is None:
        raise NotFound("There is no such reply.", field=("messageId",))
    return found
