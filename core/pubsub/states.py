"""Streams of a state that is read again after each signal, and one such stream for many subscribers."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from cancellation.tasks import restart_when_cancelled
from core.pubsub.watchers import HubClosed

if TYPE_CHECKING:
    from core.pubsub.hub import Hub

T = TypeVar("T")

MIN_INTERVAL = 0.1
POLL_INTERVAL = 5.0


async def state_stream(
    hub: "Hub",
    topic: str,
    read: Callable[[], Awaitable[T]],
    *,
    is_final: Callable[[T], bool],
    min_interval: float = MIN_INTERVAL,
    poll_interval: float = POLL_INTERVAL,
) -> AsyncGenerator[T, None]:
    """Yield the current state, then each change of it, until a final one.

    Reads at most once in `min_interval` seconds, always again after the last signal, and without a signal every
    `poll_interval` seconds. A value equal to the previous one is not yielded. The stream ends with an error of
    `read`, and with `HubClosed` at shutdown.
    """
    clock = asyncio.get_running_loop().time
    last: list[T] = []
    with hub.watch(topic) as watcher:
        while True:
            # Measured from before the read: otherwise the values of a source that changes once per interval would be
            # delayed more and more.
            due = clock() + min_interval
            watcher.drain()
            value = await read()
            if last != [value]:
                last = [value]
                yield value
            if is_final(value):
                return
            await watcher.next(within=poll_interval)
            await asyncio.sleep(due - clock())


class SharedState(Generic[T]):
    """The newest value of one source for many subscribers. A slow subscriber skips values, but never the last one."""

    def __init__(self, source: Callable[[], AsyncGenerator[T, None]]) -> None:
        self.subscribers = 0
        self._source = source
        self._version = 0
        self._value: T | None = None
        self._changed = asyncio.Event()
        self.task = asyncio.create_task(
            restart_when_cancelled("pubsub-shared-state", self._run), name="pubsub-shared-state"
        )
        self.task.add_done_callback(self._on_done)

    async def subscribe(self) -> AsyncGenerator[T, None]:
        """Yield the newest value, then each newer one; ends when the source ends, with its error."""
        seen = 0
        while True:
            changed = self._changed
            if self._version > seen:
                seen = self._version
                yield cast("T", self._value)
            elif self.task.done():
                if self.task.cancelled():
                    raise HubClosed
                self.task.result()
                return
            else:
                await changed.wait()

    async def _run(self) -> None:
        async with aclosing(self._source()) as values:
            async for value in values:
                self._value = value
                self._version += 1
                self._notify()

    def _on_done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            task.exception()  # asyncio logs an error that is never retrieved, and there may be no subscriber
        self._notify()

    def _notify(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
