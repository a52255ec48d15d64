"""How fast a provider account may be used: a shared budget in the database, and back-off when it refuses or fails."""

from time import monotonic

from sqlalchemy import Float, func, select

from cancellation.backoff import Backoff
from core.database.scopes import SystemScope

BACKOFF = Backoff(initial=0.5, maximum=60.0)
MAX_RETRY_AFTER_SECONDS = 300.0


async def reserve(system: SystemScope, account: str, messages: int, per_second: float) -> float:
    """Reserve messages of the account's rate; the seconds to wait before sending them. Negative gives some back."""
    if per_second <= 0:
        return 0.0
    wait = func.system.reserve_sending(account, messages, per_second).table_valued("wait_seconds")
    rows = await system.rows(select(wait.c.wait_seconds.cast(Float)))
    return max(0.0, float(rows[0][0]))


class ProviderBackoff:
    """Growing pauses while the provider refuses or fails, none while it answers. For one process and account."""

    def __init__(self, backoff: Backoff = BACKOFF) -> None:
        self.backoff = backoff
        self.failures = 0
        self.until = 0.0

    @property
    def remaining(self) -> float:
        """Seconds still to wait."""
        return max(0.0, self.until - monotonic())

    def succeed(self) -> None:
        """The provider answers again."""
        self.failures = 0

    def fail(self, retry_after_seconds: float | None = None) -> float:
        """Wait longer than the last time; failures of batches that were in flight together count once.

        As long as the provider asks for, but no more than five minutes, whatever it says.
        """
        if not self.remaining:
            self.failures += 1
            asked = min(retry_after_seconds or 0.0, MAX_RETRY_AFTER_SECONDS)
            self.until = monotonic() + max(asked, self.backoff.delay(self.failures))
        return self.remaining
