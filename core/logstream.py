"""Logs that can be read again from any sequence for an hour: one Redis stream each.

An entry's id is `<sequence>-0`, with sequences 1, 2, 3 ... A writer claims the log first; every claim has a higher
epoch, and appends of a lower one are refused. Since sequences have no holes, a reader knows when entries are gone.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import orjson
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from cancellation.deadlines import deadline
from core.pubsub import PREFIX, Hub, log_topic
from core.telemetry import describe_error, logger

CLAIM = """
local now = redis.call('TIME')
local epoch = now[1] * 1000000 + now[2]
local held = tonumber(redis.call('GET', KEYS[2]) or '0')
if held >= epoch then epoch = held + 1 end
redis.call('SET', KEYS[2], string.format('%.0f', epoch), 'EX', ARGV[1])
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
return {string.format('%.0f', epoch), last[1] and last[1][1] or '0-0'}
"""

# An id that is refused although the epoch is ours was written by an earlier try of the same append. Where the mark of
# the writer or the entry before is gone (flushed, or restarted from an older copy), going on would leave a hole.
APPEND = """
local held = tonumber(redis.call('GET', KEYS[2]) or '0')
local epoch = tonumber(ARGV[1])
if held > epoch then return redis.error_reply('STALE another writer has claimed this log') end
local newest = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
local last = newest and tonumber(string.match(newest[1], '^%d+')) or 0
if held == 0 or last < ARGV[4] - 1 then
  return redis.error_reply('LOST this log was flushed')
end
for i = 6, #ARGV do
  local id = string.format('%.0f-0', ARGV[4] + i - 6)
  local added = redis.pcall('XADD', KEYS[1], 'MAXLEN', '~', ARGV[3], id, 'event', ARGV[i])
  if type(added) == 'table' and added.err then
    local ours = held == epoch and string.find(added.err, 'equal or smaller', 1, true)
    if not ours then return redis.error_reply('STALE ' .. added.err) end
  end
end
redis.call('SET', KEYS[2], ARGV[1], 'EX', ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[2])
redis.call('PUBLISH', ARGV[5], '')
"""

RETRY_PAUSE = 0.05
PAGE = 500

T = TypeVar("T")
Event = bytes | Mapping[str, object]
Stored = tuple[bytes, dict[bytes, bytes]]
log = logger(__name__)


class StaleWriter(Exception):
    """Another writer has taken this log over; stop writing."""


class LogLost(Exception):
    """What was written is gone (flushed). Claim the log again, and write what follows `last_sequence` once more."""


class LogUnavailable(Exception):
    """Redis did not take or give the log's entries in time. Repeating the same call is safe."""


class LogMissing(Exception):
    """Entries after the given sequence are gone (expired, flushed, trimmed) or never were: read the database."""


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One event of a log, with its sequence."""

    sequence: int
    event: bytes


class LogWriter:
    """The right to append to one log, until somebody else claims it. Not for concurrent use."""

    def __init__(self, logs: "LogStream", name: str, epoch: int, last_sequence: int) -> None:
        self._logs = logs
        self._name = name
        self._epoch = epoch
        self.last_sequence = last_sequence

    async def append(self, event: Event) -> int:
        """Append one event; its sequence. Raises `StaleWriter`, `LogLost` or `LogUnavailable`."""
        return await self.append_all([event])

    async def append_all(self, events: Iterable[Event]) -> int:
        """Append events in one round trip, wake the readers once; the last sequence."""
        encoded = [event if isinstance(event, bytes) else orjson.dumps(event) for event in events]
        if encoded:
            await self._logs.write(self._name, self._epoch, self.last_sequence + 1, encoded)
            self.last_sequence += len(encoded)
        return self.last_sequence


class LogStream:
    """The logs of one Redis. `expiry` and `within` (the limit of one call) are seconds."""

    def __init__(
        self,
        redis: Redis,
        *,
        prefix: str = PREFIX,
        expiry: int = 3_600,
        max_length: int = 20_000,
        within: float = 1.0,
    ) -> None:
        self._redis = redis
        self._prefix = prefix
        self._expiry = expiry
        self._max_length = max_length
        self._within = within
        self._claim = redis.register_script(CLAIM)
        self._append = redis.register_script(APPEND)

    def key(self, name: str) -> str:
        """The Redis key of a log's stream."""
        return f"{self._prefix}log:{{{name}}}"

    def fence_key(self, name: str) -> str:
        """The Redis key that holds the epoch of a log's writer."""
        return f"{self.key(name)}:writer"

    async def claim(self, name: str) -> LogWriter:
        """Become the writer of a log, going on after its last entry; an earlier writer is shut out from here on."""
        keys = [self.key(name), self.fence_key(name)]
        epoch, last = await self._try(lambda: self._claim(keys=keys, args=[self._expiry]))
        return LogWriter(self, name, int(epoch), _sequence(last))

    async def last_sequence(self, name: str) -> int:
        """The sequence of the newest entry, 0 when there is none."""
        newest = await self._try(lambda: self._redis.xrevrange(self.key(name), count=1))
        return _sequence(newest[0][0]) if newest else 0

    async def write(self, name: str, epoch: int, first: int, events: list[bytes]) -> None:
        """Append under an epoch, from a sequence on: what `LogWriter` is for. May be repeated without harm."""
        keys = [self.key(name), self.fence_key(name)]
        topic = self._prefix + log_topic(name)
        args: list[bytes | str | int] = [epoch, self._expiry, self._max_length, first, topic, *events]
        try:
            await self._try(lambda: self._append(keys=keys, args=args))
        except ResponseError as error:
            if str(error).startswith("STALE"):
                raise StaleWriter(name) from error
            if str(error).startswith("LOST"):
                raise LogLost(name) from error
            raise

    async def read(self, name: str, after: int = 0, *, limit: int = PAGE) -> list[LogEntry]:
        """The entries that follow `after`, at most `limit`. Raises `LogMissing` when the next one is gone."""
        page, newest, claimed = await self._try(lambda: self._fetch(name, after, limit))
        entries = [LogEntry(_sequence(key), fields[b"event"]) for key, fields in page]
        if entries and entries[0].sequence == after + 1:
            return entries
        last = _sequence(newest[0][0]) if newest else 0
        if entries or after > last or not (last or claimed):
            raise LogMissing(f"{name} after {after}")
        return []

    async def follow(
        self,
        hub: Hub,
        name: str,
        after: int = 0,
        *,
        is_last: Callable[[LogEntry], bool],
        is_running: Callable[[], Awaitable[bool]],
        poll_interval: float = 5.0,
        retry_interval: float = 0.5,
    ) -> AsyncGenerator[LogEntry, None]:
        """Every entry that follows `after`, in order, once, until one is the last.

        Holds no connection while it waits, and rides out a Redis that is away. `is_running` asks the database
        whether more is to come: for a log not begun yet, and when nothing came for `poll_interval` seconds. Raises
        `LogMissing` when the log cannot tell the rest: entries are gone, or nobody writes the last one any more.
        """
        running = True
        with hub.watch(log_topic(name)) as watcher:
            while True:
                watcher.drain()
                entries, wait = [], poll_interval
                try:
                    entries = await self.read(name, after)
                except LogUnavailable as error:
                    log.warning("log_unavailable", log=name, reason=describe_error(error))
                    wait = retry_interval
                except LogMissing:
                    if after or not await is_running():
                        raise
                if not entries and not running:
                    raise LogMissing(f"{name} ends after {after} without its last event")
                for entry in entries:
                    yield entry
                    if is_last(entry):
                        return
                    after = entry.sequence
                if len(entries) < PAGE and await watcher.next(within=wait) is None:
                    running = await is_running()

    async def _fetch(self, name: str, after: int, limit: int) -> tuple[list[Stored], list[Stored], int]:
        async with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.xrange(self.key(name), min=f"({after}-0", count=limit)
            pipeline.xrevrange(self.key(name), count=1)
            pipeline.exists(self.fence_key(name))
            page, newest, claimed = await pipeline.execute()
        return page, newest, claimed

    async def _try(self, call: Callable[[], Awaitable[T]]) -> T:
        try:
            async with deadline(self._within):
                try:
                    return await call()
                except (RedisConnectionError, RedisTimeoutError, OSError):
                    await asyncio.sleep(RETRY_PAUSE)
                    return await call()
        except (RedisConnectionError, RedisTimeoutError, OSError) as error:
            raise LogUnavailable(repr(error)) from error


def _sequence(entry_id: bytes) -> int:
    return int(entry_id.partition(b"-")[0])
