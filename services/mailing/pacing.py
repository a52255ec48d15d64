"""Rate limit of a provider account, shared by all workers in the database, and back-off after its errors."""

from time import monotonic

from sqlalchemy import Float, func, select

from cancellation.backoff import Backoff
from core.database.scopes import SystemScope

_BACKOFF = Backoff(initial=0.5, maximum=60.0)
_MAX_RETRY_AFTER_SECONDS = 300.0


async def reserve(system: SystemScope, account: str, messages: int, per_second: float) -> float:
    """Reserve so many messages of the account's rate; returns the seconds to wait before sending them.

    A negative number returns unused ones.
    """
    if per_second <= 0:
        return 0.0
    wait = func.system.reserve_sending(account, messages, per_second).table_valued("wait_seconds")
    rows = await system.rows(select(wait.c.wait_seconds.cast(Float)))
    return max(0.0, float(rows[0][0]))


class ProviderBackoff:
    """Growing pauses after failed requests to the provider; a success resets them. For one process and account."""

    def __init__(self, backoff: Backoff = _BACKOFF) -> None:
        self.backoff = backoff
        self.failures = 0
        self.until = 0.0

    @property
    def remaining(self) -> float:
        """Seconds until the next request is allowed."""
        return max(0.0, self.until - monotonic())

    def succeed(self) -> None:
        """Reset the pauses."""
        self.failures = 0

    def fail(self, retry_after_seconds: float | None = None) -> float:
        """Start a pause, longer than the last; returns its seconds. Failures during a pause do not count.

        The pause is at least as long as the provider's Retry-After, of which at most five minutes are respected.
        """
        if not self.remaining:
            self.failures += 1
            retry_after = min(retry_after_seconds or 0.0, _MAX_RETRY_AFTER_SECONDS)
            self.until = monotonic() + max(retry_after, self.backoff.delay(self.failures))
        return self.remaining
