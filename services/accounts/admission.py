"""Limits on signing up and logging in, so that anonymous clients cannot keep the CPU busy with password hashes."""

from dataclasses import dataclass

from redis.asyncio import Redis

from core.access.settings import AuthSettings, SignUpMode
from core.errors import ErrorCode, NudgeError
from core.passwords import Passwords
from core.throttle import Throttle, client_key

_FAILURE_SECONDS = 300
_SIGN_UP_SECONDS = 3_600
_ALL_CLIENTS = "everybody"
_TOO_MANY_FAILURES = "Too many failed log-ins. Wait a few minutes and try again."


class SignUpClosed(NudgeError):
    """Nobody may open an organization by `signUp` here."""

    code = ErrorCode.SIGN_UP_CLOSED

    def __init__(self) -> None:
        super().__init__(
            "Signing up is closed on this installation.",
            suggestion=(
                "Ask the operator of this installation for an account. `nudge organization create` creates an "
                "organization; NUDGE_AUTH__SIGN_UP=OPEN allows everyone to sign up."
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """The limits of an installation. `failures` counts by e-mail address and client together."""

    mode: SignUpMode
    passwords: Passwords
    failures: Throttle
    failures_of_client: Throttle
    sign_ups_of_client: Throttle
    sign_ups: Throttle


def build_admission(auth: AuthSettings, redis: Redis, *, production: bool) -> Admission:
    """The limits of the settings. The defaults outside production are too high to be reached."""
    waiting = (64, 16) if production else (1_000, 1_000)
    too_many = "Too many sign-ups. Try again later."
    return Admission(
        mode=auth.sign_up or (SignUpMode.CLOSED if production else SignUpMode.OPEN),
        passwords=Passwords(max_waiting=waiting[0], max_waiting_per_client=waiting[1]),
        failures=Throttle(
            redis, "log-in", limit=auth.failed_logins, seconds=_FAILURE_SECONDS, message=_TOO_MANY_FAILURES
        ),
        failures_of_client=Throttle(
            redis,
            "log-in-client",
            limit=auth.failed_logins_per_client or (30 if production else 10_000),
            seconds=_FAILURE_SECONDS,
            message=_TOO_MANY_FAILURES,
        ),
        sign_ups_of_client=Throttle(
            redis,
            "sign-up-client",
            limit=auth.sign_ups_per_client or (10 if production else 100_000),
            seconds=_SIGN_UP_SECONDS,
            message=too_many,
        ),
        sign_ups=Throttle(
            redis,
            "sign-up",
            limit=auth.sign_ups_per_hour or (200 if production else 100_000),
            seconds=_SIGN_UP_SECONDS,
            message=too_many,
        ),
    )


def require_open(admission: Admission) -> None:
    """Raise `SignUpClosed` if sign-up is closed."""
    if admission.mode is SignUpMode.CLOSED:
        raise SignUpClosed


async def count_sign_up(admission: Admission, client: str) -> None:
    """Count a sign-up of a client, immediately before its password is hashed; raises `RateLimited`."""
    await admission.sign_ups_of_client.count(client_key(client))
    await admission.sign_ups.count(_ALL_CLIENTS)
