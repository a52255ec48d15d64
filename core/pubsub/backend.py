"""A Redis backend for `broadcaster` that outlives its connection.

The package's own Redis backends stop listening for good after a dropped connection, lose one of two first
subscribers, and queue without bound (tried on 0.3.1).
"""

import asyncio
from dataclasses import dataclass

from broadcaster._backends.base import BroadcastBackend
from broadcaster._base import Event
from redis.asyncio import ConnectionPool
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError

from cancellation.backoff import Backoff
from cancellation.deadlines import deadline
from core.ids import new_id
from core.pubsub.publishing import Publisher, PublishFailed
from core.pubsub.topics import PREFIX
from core.supervision import Supervisors
from core.telemetry import describe_error, logger

CHANNELS_PER_COMMAND = 1_000

log = logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How patient the connection is, in seconds. `silence` must be well above `canary`."""

    connect_timeout: float = 1.0
    heartbeat_interval: float = 1.0
    heartbeat_timeout: float = 3.0
    initial_delay: float = 0.05
    max_delay: float = 2.0
    publish_timeout: float = 1.0


DEFAULT_TIMING = Timing()


class ServerSilent(Exception):
    """Not even our own canary came back: the connection is dead, whatever the socket says."""


class TopicEvent(Event):
    """An announcement on a topic; without a payload, a gap: announcements may have been missed."""

    def __init__(self, topic: str, payload: bytes | None) -> None:
        super().__init__(topic, "")
        self.payload = payload


class RedisBackend(BroadcastBackend):
    """One supervised connection. Whenever the server confirms a subscription, first or renewed, its topic gets a gap.

    That one rule covers reconnects as well as whatever happened before the first confirmation, and so `subscribe`
    need not wait for it. Unread announcements are kept one per topic, the newest; a gap stays a gap.
    """

    def __init__(
        self,
        url: str,
        *,
        prefix: str = PREFIX,
        timing: Timing = DEFAULT_TIMING,
        supervisors: Supervisors | None = None,
    ) -> None:
        self.supervisors = supervisors or Supervisors()
        self._pool = ConnectionPool.from_url(url)
        self._prefix = prefix
        self._timing = timing
        self._publisher = Publisher(url, prefix=prefix, within=timing.publish_timeout)
        self._heartbeat_topic = f"canary:{new_id()}"
        self._wanted: set[str] = set()
        self._pending: dict[str, bytes | None] = {}
        self._arrived = asyncio.Event()
        self._rewire = asyncio.Event()
        self._heard = False
        self._supervisor: asyncio.Task[None] | None = None

    @property
    def channels(self) -> int:
        """How many channels are subscribed upstream, the canary aside."""
        return len(self._wanted)

    @property
    def pending(self) -> int:
        """How many announcements wait to be handed on, at most one for each topic."""
        return len(self._pending)

    @property
    def connected(self) -> bool:
        """Whether the server answers on the present connection."""
        return self._heard

    async def connect(self) -> None:
        """Start the connection; returns at once, also while Redis is away."""
        self._supervisor = self.supervisors.start(
            "pubsub-connection",
            self._session,
            backoff=Backoff(initial=self._timing.initial_delay, maximum=self._timing.max_delay),
            expected=(RedisError, OSError, ServerSilent),
        )

    async def disconnect(self) -> None:
        """Stop listening and close every connection."""
        if self._supervisor is not None:
            await self.supervisors.stop(self._supervisor)
        await self._publisher.aclose()

    async def subscribe(self, group: str) -> None:
        """Want a topic. Never suspends: two first subscribers cannot meet half-way."""
        self._wanted.add(group)
        self._rewire.set()

    async def unsubscribe(self, group: str) -> None:
        """Want a topic no longer, and forget what it announced. Never suspends."""
        self._wanted.discard(group)
        self._pending.pop(group, None)
        self._rewire.set()

    async def publish(self, channel: str, message: bytes) -> None:
        """Announce on a topic. Raises `PublishFailed` within the publish limit."""
        await self._publisher.publish(channel, message)

    async def next_published(self) -> Event:
        """The next announcement; waits, and never fails."""
        while not self._pending:
            self._arrived.clear()
            await self._arrived.wait()
        topic = next(iter(self._pending))
        return TopicEvent(topic, self._pending.pop(topic))

    def _note(self, topic: str, payload: bytes | None) -> None:
        if topic not in self._wanted:
            return
        known_gap = topic in self._pending and self._pending[topic] is None
        self._pending[topic] = None if known_gap else payload
        self._arrived.set()

    async def _session(self) -> None:
        connection: AbstractConnection = self._pool.make_connection()  # type: ignore[no-untyped-call]
        try:
            async with deadline(self._timing.connect_timeout):
                await connection.connect()  # type: ignore[no-untyped-call]
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._listen(connection), name="pubsub-listen")
                tasks.create_task(self._wire(connection), name="pubsub-wire")
                tasks.create_task(self._publish_heartbeats(), name="pubsub-canary")
        finally:
            self._heard = False
            await connection.disconnect(nowait=True)

    async def _listen(self, connection: AbstractConnection) -> None:
        while True:
            reply = await connection.read_response(timeout=self._timing.heartbeat_timeout)
            if reply is None:
                raise ServerSilent(f"nothing heard for {self._timing.heartbeat_timeout} s")
            self._heard = True
            kind, channel, body = reply
            topic = channel.decode().removeprefix(self._prefix)
            if kind == b"message":
                self._note(topic, body)
            elif kind == b"subscribe":
                self._note(topic, None)

    async def _wire(self, connection: AbstractConnection) -> None:
        told: set[str] = set()
        while True:
            self._rewire.clear()
            wanted = {*self._wanted, self._heartbeat_topic}
            await self._send(connection, "UNSUBSCRIBE", told - wanted)
            await self._send(connection, "SUBSCRIBE", wanted - told)
            told = wanted
            await self._rewire.wait()

    async def _send(self, connection: AbstractConnection, command: str, topics: set[str]) -> None:
        channels = [self._prefix + topic for topic in topics]
        for start in range(0, len(channels), CHANNELS_PER_COMMAND):
            await connection.send_command(command, *channels[start : start + CHANNELS_PER_COMMAND])

    async def _publish_heartbeats(self) -> None:
        while True:
            try:
                await self._publisher.publish(self._heartbeat_topic)
            except PublishFailed as error:
                # The listener notices the silence; it decides.
                log.debug("pubsub_canary_not_published", reason=describe_error(error))
            await asyncio.sleep(self._timing.heartbeat_interval)
