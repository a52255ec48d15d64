"""Password hashing with argon2id, which is slow by design: in separate threads, behind a bounded queue."""

import asyncio
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from core.errors import RateLimited

R = TypeVar("R")
THREADS = 2
RETRY_SECONDS = 5
hasher = PasswordHasher()


@lru_cache(maxsize=1)
def _decoy_hash() -> str:
    """A hash that no password matches, so that an unknown address takes as long as a wrong password."""
    return hasher.hash(secrets.token_hex(16))


class Passwords:
    """Hashes and verifies passwords, at most two at a time in a process.

    At most `max_waiting` callers wait for a slot, and `max_waiting_per_client` of one client. Further ones are
    refused, so that many requests of one client delay neither other log-ins nor the rest of the process.
    """

    def __init__(self, *, max_waiting: int, max_waiting_per_client: int) -> None:
        self.max_waiting = max_waiting
        self.max_waiting_per_client = max_waiting_per_client
        self._executor = ThreadPoolExecutor(THREADS, thread_name_prefix="passwords")
        self._slots = asyncio.Semaphore(THREADS)
        self._waiting: Counter[str] = Counter()

    @asynccontextmanager
    async def slot(self, client: str) -> AsyncIterator[None]:
        """Wait for a slot, in which `hash` and `matches` may be called. Raises `RateLimited` if too many wait."""
        if self._waiting.total() >= self.max_waiting or self._waiting[client] >= self.max_waiting_per_client:
            raise RateLimited("Too many log-ins at the moment. Try again shortly.", retry_after=RETRY_SECONDS)
        self._waiting[client] += 1
        try:
            await self._slots.acquire()
        finally:
            self._waiting[client] -= 1
            if not self._waiting[client]:
                del self._waiting[client]
        try:
            yield
        finally:
            self._slots.release()

    async def hash(self, password: str) -> str:
        """The argon2id hash of a password."""
        return await self._run(lambda: hasher.hash(password))

    async def matches(self, password: str, password_hash: str | None) -> bool:
        """Whether the password matches the hash; takes the same time without a hash."""

        def check() -> bool:
            try:
                hasher.verify(password_hash or _decoy_hash(), password)
            except (VerificationError, InvalidHashError):
                return False
            return password_hash is not None

        return await self._run(check)

    def close(self) -> None:
        """Stop the threads."""
        self._executor.shutdown(wait=False)

    async def _run(self, work: Callable[[], R]) -> R:
        """Run in a thread; a cancelled caller keeps its slot until the thread has finished."""
        running = asyncio.get_running_loop().run_in_executor(self._executor, work)
        try:
            return await asyncio.shield(running)
        finally:
            if not running.done():
                await asyncio.wait([running])
