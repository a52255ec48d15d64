"""Logs that can be read from any sequence for an hour, each in one Redis stream.

An entry's id is `<sequence>-0`, with sequences 1, 2, 3 ... A writer claims the log first. Each claim gets a higher
epoch, and appends under a lower epoch are refused. Sequences have no gaps, so a reader notices missing entries.
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

# An id that is refused under our own epoch was written by an earlier attempt of the same append. If the writer's
# epoch or the previous entry is missing (flushed, or restored from an older copy), appending would leave a gap.
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

RETRY_SECONDS = 0.05
PAGE_SIZE = 500

T = TypeVar("T")
LogEvent = bytes | Mapping[str, object]
StreamEntry = tuple[bytes, dict[bytes, bytes]]
log = logger(__name__)


class StaleWriter(Exception):
    """Another writer has claimed this log; stop writing."""


class LogLost(Exception):
    """Entries were lost (Redis was flushed). Claim the log again, and repeat what follows its `last_sequence`."""


class LogUnavailable(Exception):
    """Redis did not answer in time. Repeating the same call is safe."""


class LogMissing(Exception):
    """Entries after the given sequence are missing (expired, flushed, trimmed, never written): read the database."""


@dataclass(frozen=True, slots=True)
class LogEntry:
    """An event in a log, with its sequence."""

    sequence: int
    event: bytes


class LogWriter:
    """Appends to one log until another writer claims it. Not for concurrent use."""

    def __init__(self, logs: "LogStream", name: str, epoch: int, last_sequence: int) -> None:
        self._logs = logs
        self._name = name
        self._epoch = epoch
        self.last_sequence = last_sequence

    async def append(self, event: LogEvent) -> int:
        """Append an event; returns its sequence. Raises `StaleWriter`, `LogLost` or `LogUnavailable`."""
        return await self.append_all([event])

    async def append_all(self, events: Iterable[LogEvent]) -> int:
        """As `append`, for many events: one round trip, and one signal. Returns the last sequence."""
        encoded = [event if isinstance(event, bytes) else orjson.dumps(event) for event in events]
        if encoded:
            await self._logs.write(self._name, self._epoch, self.last_sequence + 1, encoded)
            self.last_sequence += len(encoded)
        return self.last_sequence


class LogStream:
    """The logs in one Redis. `expiry` and `within` (the timeout of a call) are in seconds."""

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
        """Become the writer of a log, after its last entry. Appends of earlier writers are refused from now on."""
        keys = [self.key(name), self.fence_key(name)]
        epoch, last = await self._try(lambda: self._claim(keys=keys, args=[self._expiry]))
        return LogWriter(self, name, int(epoch), _sequence(last))

    async def last_sequence(self, name: str) -> int:
        """The sequence of the newest entry; 0 if there is none."""
        newest = await self._try(lambda: self._redis.xrevrange(self.key(name), count=1))
        return _sequence(newest[0][0]) if newest else 0

    async def write(self, name: str, epoch: int, first: int, events: list[bytes]) -> None:
        """Append events from a sequence on, under an epoch: for `LogWriter`. Idempotent."""
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

    async def read(self, name: str, after: int = 0, *, limit: int = PAGE_SIZE) -> list[LogEntry]:
        """At most `limit` entries after the sequence `after`. Raises `LogMissing` if the next one is missing."""
        page, newest, has_claim = await self._try(lambda: self._fetch(name, after, limit))
        entries = [LogEntry(_sequence(key), fields[b"event"]) for key, fields in page]
        if entries and entries[0].sequence == after + 1:
            return entries
        last = _sequence(newest[0][0]) if newest else 0
        if entries or after > last or not (last or has_claim):
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
        """Yield each entry after `after` once, in order, up to the last one.

        Holds no connection while it waits, and waits while Redis is unavailable. `is_running` reads in the database
        whether entries will follow: it is called if the log does not exist yet, and after `poll_interval` seconds
        without an entry. Raises `LogMissing` if the log cannot be read to its end: entries are missing, or the writer
        has stopped before the last one.
        """
        running = True
        with hub.watch(log_topic(name)) as watcher:
            while True:
                watcher.drain()
                entries, wait = [], poll_interval
                try:
                    entries = await self.read(name, after)
                except LogUnavailable as error:
                    log.warning("log stream unavailable; trying again", log=name, reason=describe_error(error))
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
                if len(entries) < PAGE_SIZE and await watcher.next(within=wait) is None:
                    running = await is_running()

    async def _fetch(self, name: str, after: int, limit: int) -> tuple[list[StreamEntry], list[StreamEntry], int]:
        async with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.xrange(self.key(name), min=f"({after}-0", count=limit)
            pipeline.xrevrange(self.key(name), count=1)
            pipeline.exists(self.fence_key(name))
            page, newest, has_claim = await pipeline.execute()
        return page, newest, has_claim

    async def _try(self, call: Callable[[], Awaitable[T]]) -> T:
        try:
            async with deadline(self._within):
                try:
                    return await call()
                except (RedisConnectionError, RedisTimeoutError, OSError):
                    await asyncio.sleep(RETRY_SECONDS)
                    return await call()
        except (RedisConnectionError, RedisTimeoutError, OSError) as error:
            raise LogUnavailable(repr(error)) from error


def _sequence(entry_id: bytes) -> int:
    return int(entry_id.partition(b"-")[0])
