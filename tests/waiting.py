"""Wait for what comes in its own time: as long as a busy machine may take, and no longer than it does."""

import asyncio
from collections.abc import Awaitable, Callable

PATIENCE_SECONDS = 60.0


async def until(holds: Callable[[], Awaitable[object]]) -> None:
    """Look until it holds; fail when it does not within a minute."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await holds():  # noqa: ASYNC110 - what is looked at rings no bell
            await asyncio.sleep(0.01)
