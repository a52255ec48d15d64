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
    """The state now, then each change of it, until one is final.

    Reads at most once in `min_interval` seconds, always once more after the last signal, and without any signal
    every `poll_interval` seconds. Values that compare equal to the one before are left out. Errors of `read` end
    the stream; `HubClosed` at shutdown does too.
    """
    clock = asyncio.get_running_loop().time
    shown: list[T] = []
    with hub.watch(topic) as watcher:
        while True:
            # From before the read: a source that changes just as often is then shown in step, not ever later.
            due = clock() + min_interval
            watcher.drain()
            value = await read()
            if shown != [value]:
                shown = [value]
                yield value
            if is_final(value):
                return
            await watcher.next(within=poll_interval)
            await asyncio.sleep(due - clock())


class SharedState(Generic[T]):
    """One reader's newest value for many watchers. A slow watcher skips what came in between, never the last."""

    def __init__(self, source: Callable[[], AsyncGenerator[T, None]]) -> None:
        self.watchers = 0
        self._source = source
        self._version = 0
        self._value: T | None = None
        self._moved = asyncio.Event()
        self.task = asyncio.create_task(
            restart_when_cancelled("pubsub-shared-state", self._run), name="pubsub-shared-state"
        )
        self.task.add_done_callback(self._ended)

    async def follow(self) -> AsyncGenerator[T, None]:
        """The newest value, and each newer one; ends with the reader, and fails as it fails."""
        seen = 0
        while True:
            moved = self._moved
            if self._version > seen:
                seen = self._version
                yield cast("T", self._value)
            elif self.task.done():
                if self.task.cancelled():
                    raise HubClosed
                self.task.result()
                return
            else:
                await moved.wait()

    async def _run(self) -> None:
        async with aclosing(self._source()) as values:
            async for value in values:
                self._value = value
                self._version += 1
                self._stir()

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            task.exception()  # looked at here, since the last watcher may have left before it came
        self._stir()

    def _stir(self) -> None:
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()
