"""Cost points that an organisation, or an address without one, may spend in a minute.

A request is charged in this process's memory: no round trip stands in its way. Every second the new charges are added
up in Redis and the sum of all processes comes back, so that a budget is shared with a second's delay; a burst that
fits into that second can overdraw it once for each process. While Redis is away each process grants the budget alone.
"""

import asyncio
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from redis.asyncio import Redis
from redis.exceptions import RedisError

from core.telemetry import describe_error, logger

MINUTE = 60
PREFIX = "nudge:cost:"
SYNC_SECONDS = 1.0
log = logger(__name__)


@dataclass(slots=True)
class Account:
    """Points of one budget_key in one minute: spent in all as far as known, and not yet told to Redis."""

    spent: int = 0
    unsynced: int = 0


class Balance(NamedTuple):
    """Where a budget_key stands; `reset_at` is when the next minute begins, `ends_at` the same as a Unix time."""

    limit: int
    remaining: int
    reset_at: datetime
    ends_at: int


@dataclass(slots=True)
class Budgets:
    """The accounts of the current minute."""

    limit: int
    redis: Redis
    minute: int = 0
    reset_at: datetime = datetime.fromtimestamp(0, UTC)  # noqa: RUF009 - a moment does not change
    accounts: dict[str, Account] = field(default_factory=dict)

    def account(self, budget_key: str) -> Account:
        """The budget_key's account of this minute; the last minute's are dropped."""
        minute = int(time.time()) // MINUTE
        if minute != self.minute:
            self.minute = minute
            self.reset_at = datetime.fromtimestamp((minute + 1) * MINUTE, UTC)
            self.accounts = {}
        found = self.accounts.get(budget_key)
        if found is None:
            found = self.accounts[budget_key] = Account()
        return found

    def balance(self, budget_key: str) -> Balance:
        """What the budget_key has left in this minute."""
        return self.standing(self.account(budget_key))

    def standing(self, account: Account) -> Balance:
        """What an account has left in this minute."""
        left = self.limit - account.spent
        return Balance(self.limit, max(0, left), self.reset_at, (self.minute + 1) * MINUTE)

    def charge(self, budget_key: str, points: int) -> bool:
        """Take the points; False, taking nothing, when they are not there."""
        account = self.account(budget_key)
        if account.spent + points > self.limit:
            return False
        account.spent += points
        account.unsynced += points
        return True

    def refund(self, budget_key: str, points: int) -> Balance:
        """Return points that an operation was charged and did not use; fewer than none for what it used beyond."""
        account = self.account(budget_key)
        back = min(points, account.spent)
        account.spent -= back
        account.unsynced -= back
        return self.standing(account)

    async def synchronize(self) -> None:
        """Exchange sums with the other processes, until cancelled."""
        while True:
            await asyncio.sleep(SYNC_SECONDS)
            try:
                await self.exchange()
            except (RedisError, OSError, TimeoutError) as error:
                log.warning("budgets counted in this process alone", error=describe_error(error))

    async def exchange(self) -> None:
        """Tell Redis what was spent here, and learn what was spent everywhere."""
        minute, told = self.minute, {budget_key: account.unsynced for budget_key, account in self.accounts.items()}
        if not told:
            return
        accounts = self.accounts
        async with self.redis.pipeline(transaction=False) as pipeline:
            for budget_key, points in told.items():
                pipeline.incrby(f"{PREFIX}{minute}:{budget_key}", points)
                pipeline.expire(f"{PREFIX}{minute}:{budget_key}", 2 * MINUTE)
            sums = (await pipeline.execute())[::2]
        for (budget_key, points), total in zip(told.items(), sums, strict=True):
            accounts[budget_key].unsynced -= points
            accounts[budget_key].spent = int(total) + accounts[budget_key].unsynced
