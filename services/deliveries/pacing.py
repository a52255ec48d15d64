"""How fast a provider account may be used: a shared budget in the database, and patience when it pushes back."""

import random
from time import monotonic

from sqlalchemy import Float, func, select

from core.database.scopes import SystemScope

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 60.0
LONGEST_WANTED = 300.0


async def reserve(system: SystemScope, account: str, messages: int, per_second: float) -> float:
    """Reserve messages of the account's rate; the seconds to wait before sending them. Negative gives some back."""
    if per_second <= 0:
        return 0.0
    wait = func.system.reserve_sending(account, messages, per_second).table_valued("wait_seconds")
    rows = await system.rows(select(wait.c.wait_seconds.cast(Float)))
    return max(0.0, float(rows[0][0]))


class Patience:
    """Growing pauses while the provider refuses or fails, none while it answers. For one process and account."""

    def __init__(self, *, first: float = FIRST_PAUSE, longest: float = LONGEST_PAUSE) -> None:
        self.first = first
        self.longest = longest
        self.failures = 0
        self.until = 0.0

    @property
    def remaining(self) -> float:
        """Seconds still to wait."""
        return max(0.0, self.until - monotonic())

    def succeed(self) -> None:
        """The provider answers again."""
        self.failures = 0

    def back_off(self, at_least: float | None = None) -> float:
        """Wait longer than the last time; failures of batches that were under way together count once.

        As long as the provider wants, but no more than five minutes, whatever it says.
        """
        if not self.remaining:
            pause = min(self.longest, self.first * 2.0 ** min(self.failures, 16))
            pause = max(min(at_least or 0.0, LONGEST_WANTED), pause * (0.5 + random.random() / 2))  # noqa: S311 - spreads workers
            self.failures += 1
            self.until = monotonic() + pause
        return self.remaining
