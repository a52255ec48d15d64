"""Daily limits of mail other than campaigns. Outside production they are too high to be reached."""

from dataclasses import dataclass

from redis.asyncio import Redis

from core.throttle import Throttle

DAY_SECONDS = 86_400
_UNLIMITED = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class MailLimits:
    """`confirmations` is counted per address over all organizations, `test_mails` per organization."""

    confirmations: Throttle
    test_mails: Throttle


def mail_limits(redis: Redis, *, production: bool) -> MailLimits:
    """The limits, counted in Redis for the whole installation."""
    return MailLimits(
        confirmations=Throttle(
            redis,
            "confirmations",
            limit=20 if production else _UNLIMITED,
            seconds=DAY_SECONDS,
            message="Too many confirmation e-mails were sent to this address. Try again tomorrow.",
        ),
        test_mails=Throttle(
            redis,
            "test-mails",
            limit=200 if production else _UNLIMITED,
            seconds=DAY_SECONDS,
            message="The organization has reached its daily limit of test messages. Try again tomorrow.",
        ),
    )
