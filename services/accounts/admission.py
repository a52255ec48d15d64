"""Who may sign up and log in, and how often: the limits that keep strangers from working the password hashing."""

from dataclasses import dataclass

from redis.asyncio import Redis

from core.access.settings import AuthSettings, SignUpMode
from core.errors import ErrorCode, NudgeError
from core.passwords import Passwords
from core.throttle import Throttle, client_key

FAILURE_SECONDS = 300
SIGN_UP_SECONDS = 3_600
EVERYBODY = "everybody"
TOO_MANY_FAILURES = "Too many failed log-ins. Wait a few minutes and try again."


class SignUpClosed(NudgeError):
    """Nobody may open an organisation by `signUp` here."""

    code = ErrorCode.SIGN_UP_CLOSED

    def __init__(self) -> None:
        super().__init__(
            "Sign-up is closed here.",
            suggestion=(
                "Ask whoever runs this installation for an account: `nudge organization create` opens an "
                "organization, NUDGE_AUTH__SIGN_UP=OPEN lets everybody."
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """The limits of an installation. `failures` counts by address and client, the others by what their names say."""

    mode: SignUpMode
    passwords: Passwords
    failures: Throttle
    failures_of_client: Throttle
    sign_ups_of_client: Throttle
    sign_ups: Throttle


def admission(auth: AuthSettings, redis: Redis, *, production: bool) -> Admission:
    """The limits that the settings give; outside production, unless one is set, they are out of anybody's way."""
    waiting = (64, 16) if production else (1_000, 1_000)
    too_many = "Too many sign-ups. Try again later."
    return Admission(
        mode=auth.sign_up or (SignUpMode.CLOSED if production else SignUpMode.OPEN),
        passwords=Passwords(max_waiting=waiting[0], max_waiting_per_client=waiting[1]),
        failures=Throttle(
            redis, "log-in", limit=auth.failed_logins, seconds=FAILURE_SECONDS, message=TOO_MANY_FAILURES
        ),
        failures_of_client=Throttle(
            redis,
            "log-in-client",
            limit=auth.failed_logins_per_client or (30 if production else 10_000),
            seconds=FAILURE_SECONDS,
            message=TOO_MANY_FAILURES,
        ),
        sign_ups_of_client=Throttle(
            redis,
            "sign-up-client",
            limit=auth.sign_ups_per_client or (10 if production else 100_000),
            seconds=SIGN_UP_SECONDS,
            message=too_many,
        ),
        sign_ups=Throttle(
            redis,
            "sign-up",
            limit=auth.sign_ups_per_hour or (200 if production else 100_000),
            seconds=SIGN_UP_SECONDS,
            message=too_many,
        ),
    )


def require_open(admitted: Admission) -> None:
    """Raise `SignUpClosed` where nobody may sign up."""
    if admitted.mode is SignUpMode.CLOSED:
        raise SignUpClosed


async def count_sign_up(admitted: Admission, client: str) -> None:
    """Count a sign-up of a client, right before its password is hashed; raises `RateLimited`."""
    await admitted.sign_ups_of_client.count(client_key(client))
    await admitted.sign_ups.count(EVERYBODY)
