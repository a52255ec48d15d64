"""A Redis backend for `broadcaster` that reconnects.

The backends of the package never listen again after a dropped connection, lose one of two subscribers that come first
at the same time, and queue without bound (tested with 0.3.1).
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
    """Timeouts, intervals and delays in seconds. `heartbeat_timeout` must be well above `heartbeat_interval`."""

    connect_timeout: float = 1.0
    heartbeat_interval: float = 1.0
    heartbeat_timeout: float = 3.0
    initial_delay: float = 0.05
    max_delay: float = 2.0
    publish_timeout: float = 1.0


DEFAULT_TIMING = Timing()


class ServerSilent(Exception):
    """Not even our own heartbeat arrived in time: the connection is lost, although the socket is open."""


class TopicEvent(Event):
    """A message on a topic. Without a payload it is a gap: messages may have been lost."""

    def __init__(self, topic: str, payload: bytes | None) -> None:
        super().__init__(topic, "")
        self.payload = payload


class RedisBackend(BroadcastBackend):
    """One supervised connection. Whenever the server confirms a subscription, first or renewed, its topic gets a gap.

    The gap stands for all messages before the confirmation, after a reconnect too, so `subscribe` does not wait for
    it. Of the unread messages of a topic only the newest is kept; a gap is never replaced.
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
        self._heartbeat_topic = f"heartbeat:{new_id()}"
        self._topics: set[str] = set()
        self._pending: dict[str, bytes | None] = {}
        self._message_arrived = asyncio.Event()
        self._topics_changed = asyncio.Event()
        self._connected = False
        self._supervisor: asyncio.Task[None] | None = None

    @property
    def channels(self) -> int:
        """The number of channels subscribed at the server, without the heartbeat's."""
        return len(self._topics)

    @property
    def pending(self) -> int:
        """The number of messages not delivered yet, at most one for each topic."""
        return len(self._pending)

    @property
    def connected(self) -> bool:
        """Whether the server has answered on the current connection."""
        return self._connected

    async def connect(self) -> None:
        """Start connecting in the background: returns immediately, even while Redis is unavailable."""
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
        """Subscribe to a topic, in the background. Never suspends, so two first subscribers cannot interleave."""
        self._topics.add(group)
        self._topics_changed.set()

    async def unsubscribe(self, group: str) -> None:
        """Unsubscribe from a topic, in the background, and drop its unread message. Never suspends."""
        self._topics.discard(group)
        self._pending.pop(group, None)
        self._topics_changed.set()

    async def publish(self, channel: str, message: bytes) -> None:
        """Publish on a topic. Raises `PublishFailed` within the publish timeout."""
        await self._publisher.publish(channel, message)

    async def next_published(self) -> Event:
        """Wait for the next message. Never fails."""
        while not self._pending:
            self._message_arrived.clear()
            await self._message_arrived.wait()
        topic = next(iter(self._pending))
        return TopicEvent(topic, self._pending.pop(topic))

    def _store(self, topic: str, payload: bytes | None) -> None:
        if topic not in self._topics:
            return
        known_gap = topic in self._pending and self._pending[topic] is None
        self._pending[topic] = None if known_gap else payload
        self._message_arrived.set()

    async def _session(self) -> None:
        connection: AbstractConnection = self._pool.make_connection()  # type: ignore[no-untyped-call]
        try:
            async with deadline(self._timing.connect_timeout):
                await connection.connect()  # type: ignore[no-untyped-call]
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._listen(connection), name="pubsub-listen")
                tasks.create_task(self._sync_subscriptions(connection), name="pubsub-subscriptions")
                tasks.create_task(self._publish_heartbeats(), name="pubsub-heartbeat")
        finally:
            self._connected = False
            await connection.disconnect(nowait=True)

    async def _listen(self, connection: AbstractConnection) -> None:
        while True:
            reply = await connection.read_response(timeout=self._timing.heartbeat_timeout)
            if reply is None:
                raise ServerSilent(f"no message for {self._timing.heartbeat_timeout} s")
            self._connected = True
            kind, channel, body = reply
            topic = channel.decode().removeprefix(self._prefix)
            if kind == b"message":
                self._store(topic, body)
            elif kind == b"subscribe":
                self._store(topic, None)

    async def _sync_subscriptions(self, connection: AbstractConnection) -> None:
        subscribed: set[str] = set()
        while True:
            self._topics_changed.clear()
            required = {*self._topics, self._heartbeat_topic}
            await self._send(connection, "UNSUBSCRIBE", subscribed - required)
            await self._send(connection, "SUBSCRIBE", required - subscribed)
            subscribed = required
            await self._topics_changed.wait()

    async def _send(self, connection: AbstractConnection, command: str, topics: set[str]) -> None:
        channels = [self._prefix + topic for topic in topics]
        for start in range(0, len(channels), CHANNELS_PER_COMMAND):
            await connection.send_command(command, *channels[start : start + CHANNELS_PER_COMMAND])

    async def _publish_heartbeats(self) -> None:
        while True:
            try:
                await self._publisher.publish(self._heartbeat_topic)
            except PublishFailed as error:
                # If heartbeats stay away, the listener ends the connection.
                log.debug("pubsub heartbeat not published", reason=describe_error(error))
            await asyncio.sleep(self._timing.heartbeat_interval)
