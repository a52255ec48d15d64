"""The hub of a process, which passes signals from Redis to the streams of the process.

A watcher is what `Hub.watch` returns: it gets the signals of one topic, and is used by one stream. A subscriber is a
caller of `Hub.shared`: all subscribers with the same topic and key share one `SharedState`, which has one watcher.
"""

import asyncio
import itertools
from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeVar, cast

from broadcaster import Broadcast

from cancellation.tasks import cancel_and_wait
from core.pubsub.backend import RedisBackend, TopicEvent
from core.pubsub.states import MIN_INTERVAL, POLL_INTERVAL, SharedState, state_stream
from core.pubsub.watchers import HubClosed, Signal, Watcher

T = TypeVar("T")

__all__ = ["Hub", "HubClosed", "HubStatistics"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HubStatistics:
    """What a hub holds at a moment; all zero when nothing is watched."""

    topics: int
    watchers: int
    shared: int
    tasks: int
    channels: int
    pending: int


class SupervisedBroadcast(Broadcast):
    """`Broadcast` with a supervised listener: the package's own ends at its first error."""

    def __init__(self, backend: RedisBackend) -> None:
        super().__init__(backend=backend)
        self._supervisors = backend.supervisors

    async def connect(self) -> None:
        """Start the connection and the listener."""
        await self._backend.connect()
        self._listener_task = self._supervisors.start("pubsub-listener", self._listener)

    async def disconnect(self) -> None:
        """Stop the listener, then close the connection."""
        await self._supervisors.stop(self._listener_task)
        await self._backend.disconnect()


class Hub:
    """Passes signals to the watchers of a process, with one Redis subscription for each topic."""

    def __init__(self, backend: RedisBackend) -> None:
        self._backend = backend
        self._broadcast = SupervisedBroadcast(backend)
        self._supervisors = backend.supervisors
        self._watchers: dict[str, set[Watcher]] = {}
        self._forwarders: dict[str, asyncio.Task[None]] = {}
        self._shared: dict[tuple[str, Hashable], SharedState[object]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    async def __aenter__(self) -> Self:
        await self._broadcast.connect()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End every stream with `HubClosed`, then close the connections. Idempotent."""
        if self._closed:
            return
        self._closed = True
        for watchers in self._watchers.values():
            for watcher in watchers:
                watcher.close()
        self._supervisors.release(*self._tasks)
        try:
            await cancel_and_wait(self._tasks)
        finally:
            await self._broadcast.disconnect()

    @property
    def connected(self) -> bool:
        """Whether Redis is connected; while it is not, streams poll."""
        return self._backend.connected

    @contextmanager
    def watch(self, topic: str) -> Iterator[Watcher]:
        """Subscribe to a topic until the block ends. Raises `HubClosed` at shutdown.

        The watcher gets the signals of changes after this call, so watch first, then read.
        """
        if self._closed:
            raise HubClosed
        watcher = Watcher()
        watchers = self._watchers.setdefault(topic, set())
        watchers.add(watcher)
        if topic not in self._forwarders:
            starts = itertools.count()
            self._forwarders[topic] = self._track(
                self._supervisors.start(f"forwarder {topic}", lambda: self._forward(topic, watchers, next(starts)))
            )
        try:
            yield watcher
        finally:
            watchers.discard(watcher)
            if not watchers:
                del self._watchers[topic]
                forwarder = self._forwarders.pop(topic)
                self._supervisors.release(forwarder)
                forwarder.cancel()

    async def shared(
        self,
        key: Hashable,
        topic: str,
        read: Callable[[], Awaitable[T]],
        *,
        is_final: Callable[[T], bool],
        min_interval: float = MIN_INTERVAL,
        poll_interval: float = POLL_INTERVAL,
    ) -> AsyncGenerator[T, None]:
        """A `state_stream` whose reads are shared by all subscribers with the same topic and key.

        The key must contain everything that the value depends on: operation, arguments, tenant. All subscribers get
        the values and errors of the first one's `read`, which runs in a task of its own while any subscriber remains.
        """
        state = self._join(
            (topic, key),
            lambda: state_stream(
                self, topic, read, is_final=is_final, min_interval=min_interval, poll_interval=poll_interval
            ),
        )
        try:
            async with aclosing(state.subscribe()) as values:
                async for value in values:
                    yield value
        finally:
            state.subscribers -= 1
            if not state.subscribers:
                state.task.cancel()
                self._discard((topic, key), state)

    def statistics(self) -> HubStatistics:
        """What the hub holds now, for metrics and for tests of leaks."""
        return HubStatistics(
            topics=len(self._watchers),
            watchers=sum(map(len, self._watchers.values())),
            shared=len(self._shared),
            tasks=len(self._tasks),
            channels=self._backend.channels,
            pending=self._backend.pending,
        )

    def _join(self, key: tuple[str, Hashable], source: Callable[[], AsyncGenerator[T, None]]) -> SharedState[T]:
        if self._closed:
            raise HubClosed
        state = cast("SharedState[T] | None", self._shared.get(key))
        if state is None or state.task.done():
            state = SharedState(source)
            self._shared[key] = cast("SharedState[object]", state)
            self._track(state.task).add_done_callback(lambda _: self._discard(key, state))
        state.subscribers += 1
        return state

    def _discard(self, key: tuple[str, Hashable], state: SharedState[T]) -> None:
        if self._shared.get(key) is state:
            del self._shared[key]

    def _track(self, task: asyncio.Task[None]) -> asyncio.Task[None]:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _forward(self, topic: str, watchers: set[Watcher], start: int) -> None:
        async with self._broadcast.subscribe(topic) as events:
            if start:  # restarted: the signals in between are lost
                for watcher in watchers:
                    watcher.offer(Signal("gap"))
            while True:
                event = cast("TopicEvent", await events.get())
                signal = Signal.of(event.payload)
                for watcher in watchers:
                    watcher.offer(signal)
