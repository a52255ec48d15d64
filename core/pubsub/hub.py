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
    """What a hub holds; all zero when nobody watches."""

    topics: int
    watchers: int
    shared: int
    tasks: int
    channels: int
    pending: int


class SupervisedBroadcast(Broadcast):
    """The package's, whose listener would end for good at its first error."""

    def __init__(self, backend: RedisBackend) -> None:
        super().__init__(backend=backend)
        self._supervisors = backend.supervisors

    async def connect(self) -> None:
        """Start the connection and the listener."""
        await self._backend.connect()
        self._listener_task = self._supervisors.start("pubsub-listener", self._listener)

    async def disconnect(self) -> None:
        """End the listener and the connection."""
        await self._supervisors.stop(self._listener_task)
        await self._backend.disconnect()


class Hub:
    """The one place of a process where topics are watched: one upstream subscription each, however many watchers."""

    def __init__(self, backend: RedisBackend) -> None:
        self._backend = backend
        self._broadcast = SupervisedBroadcast(backend)
        self._supervisors = backend.supervisors
        self._viewers: dict[str, set[Watcher]] = {}
        self._pumps: dict[str, asyncio.Task[None]] = {}
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
        """End every stream with `HubClosed`, then close the connections. Closing again does nothing."""
        if self._closed:
            return
        self._closed = True
        for watchers in self._viewers.values():
            for watcher in watchers:
                watcher.close()
        self._supervisors.release(*self._tasks)
        try:
            await cancel_and_wait(self._tasks)
        finally:
            await self._broadcast.disconnect()

    @property
    def connected(self) -> bool:
        """Whether signals flow at present; without them, streams fall back to polling."""
        return self._backend.connected

    @contextmanager
    def watch(self, topic: str) -> Iterator[Watcher]:
        """A watcher of the topic; leaving the block releases it at once. Raises `HubClosed` at shutdown.

        What is announced after this call wakes the watcher, so: watch first, then read.
        """
        if self._closed:
            raise HubClosed
        watcher = Watcher()
        watchers = self._viewers.setdefault(topic, set())
        watchers.add(watcher)
        if topic not in self._pumps:
            starts = itertools.count()
            self._pumps[topic] = self._keep(
                self._supervisors.start(f"pump {topic}", lambda: self._pump(topic, watchers, next(starts)))
            )
        try:
            yield watcher
        finally:
            watchers.discard(watcher)
            if not watchers:
                del self._viewers[topic]
                pump = self._pumps.pop(topic)
                self._supervisors.release(pump)
                pump.cancel()

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
        """A `state_stream` whose reads are shared by every watcher with the same key.

        The key must hold all that the value depends on: operation, variables, tenant, rights. The first watcher's
        `read` serves all, from a task of its own; it stops when the last of them leaves, and its errors reach each.
        """
        state = self._join(
            (topic, key),
            lambda: state_stream(
                self, topic, read, is_final=is_final, min_interval=min_interval, poll_interval=poll_interval
            ),
        )
        try:
            async with aclosing(state.follow()) as values:
                async for value in values:
                    yield value
        finally:
            state.watchers -= 1
            if not state.watchers:
                state.task.cancel()
                self._forget((topic, key), state)

    def statistics(self) -> HubStatistics:
        """What is held at this moment, for metrics and for the proof that nothing is left behind."""
        return HubStatistics(
            topics=len(self._viewers),
            watchers=sum(map(len, self._viewers.values())),
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
            self._keep(state.task).add_done_callback(lambda _: self._forget(key, state))
        state.watchers += 1
        return state

    def _forget(self, key: tuple[str, Hashable], state: SharedState[T]) -> None:
        if self._shared.get(key) is state:
            del self._shared[key]

    def _keep(self, task: asyncio.Task[None]) -> asyncio.Task[None]:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _pump(self, topic: str, watchers: set[Watcher], start: int) -> None:
        async with self._broadcast.subscribe(topic) as events:
            if start:  # begun again: what was announced meanwhile is lost
                for watcher in watchers:
                    watcher.offer(Signal.of(None))
            while True:
                event = cast("TopicEvent", await events.get())
                signal = Signal.of(event.payload)
                for watcher in watchers:
                    watcher.offer(signal)
