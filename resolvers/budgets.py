"""Budgets: the cost points that an organization, or an address without a caller, may spend in a minute.

A request is charged in this process's memory, without a round trip. Every second the new charges are added to a
counter in Redis and the sum of all processes is read back, so that processes share a budget with a second's delay; a
burst within that second can overdraw it once for each process. While Redis is unavailable each process grants the
whole budget.
"""

import asyncio
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from redis.asyncio import Redis
from redis.exceptions import RedisError

from core.telemetry import describe_error, logger

MINUTE_SECONDS = 60
_PREFIX = "nudge:cost:"
SYNC_SECONDS = 1.0
log = logger(__name__)


@dataclass(slots=True)
class BudgetUsage:
    """Points of one budget in one minute: spent in all processes as far as known, and not yet added in Redis."""

    spent: int = 0
    unsynced: int = 0


class Balance(NamedTuple):
    """The state of a budget; `reset_at` is when the next minute begins, `ends_at` the same as a Unix time."""

    limit: int
    remaining: int
    reset_at: datetime
    ends_at: int


@dataclass(slots=True)
class Budgets:
    """The budgets of the current minute."""

    limit: int
    redis: Redis
    minute: int = 0
    reset_at: datetime = datetime.fromtimestamp(0, UTC)  # noqa: RUF009 - immutable
    usages: dict[str, BudgetUsage] = field(default_factory=dict)

    def _usage(self, budget_key: str) -> BudgetUsage:
        """The usage of a budget in this minute; those of the last minute are dropped."""
        minute = int(time.time()) // MINUTE_SECONDS
        if minute != self.minute:
            self.minute = minute
            self.reset_at = datetime.fromtimestamp((minute + 1) * MINUTE_SECONDS, UTC)
            self.usages = {}
        usage = self.usages.get(budget_key)
        if usage is None:
            usage = self.usages[budget_key] = BudgetUsage()
        return usage

    def balance(self, budget_key: str) -> Balance:
        """What a budget has left in this minute."""
        return self._balance(self._usage(budget_key))

    def _balance(self, usage: BudgetUsage) -> Balance:
        """The balance after a usage."""
        left = self.limit - usage.spent
        return Balance(self.limit, max(0, left), self.reset_at, (self.minute + 1) * MINUTE_SECONDS)

    def charge(self, budget_key: str, points: int) -> bool:
        """Take the points; returns False, taking none, when the budget has fewer."""
        usage = self._usage(budget_key)
        if usage.spent + points > self.limit:
            return False
        usage.spent += points
        usage.unsynced += points
        return True

    def refund(self, budget_key: str, points: int) -> Balance:
        """Return charged points that an operation did not use; a negative number charges what it used beyond."""
        usage = self._usage(budget_key)
        refunded = min(points, usage.spent)
        usage.spent -= refunded
        usage.unsynced -= refunded
        return self._balance(usage)

    async def synchronize(self) -> None:
        """Share the budgets with the other processes, until cancelled."""
        while True:
            await asyncio.sleep(SYNC_SECONDS)
            try:
                await self._exchange()
            except (RedisError, OSError, TimeoutError) as error:
                log.warning("budgets counted in this process alone", error=describe_error(error))

    async def _exchange(self) -> None:
        """Add what was spent here to the counters in Redis, and read what all processes spent."""
        minute, unsynced = self.minute, {budget_key: usage.unsynced for budget_key, usage in self.usages.items()}
        if not unsynced:
            return
        usages = self.usages
        async with self.redis.pipeline(transaction=False) as pipeline:
            for budget_key, points in unsynced.items():
                pipeline.incrby(f"{_PREFIX}{minute}:{budget_key}", points)
                pipeline.expire(f"{_PREFIX}{minute}:{budget_key}", 2 * MINUTE_SECONDS)
            sums = (await pipeline.execute())[::2]
        for (budget_key, points), total in zip(unsynced.items(), sums, strict=True):
            usages[budget_key].unsynced -= points
            usages[budget_key].spent = int(total) + usages[budget_key].unsynced
