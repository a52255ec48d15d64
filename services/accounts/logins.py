"""Signing up, logging in, refreshing a session and logging out: the whole use cases."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from core.access.actor import Actor, system_actor, user_actor
from core.access.session import Session
from core.access.tenant import Tenant
from core.database.scopes import Reader, SystemScope
from core.errors import Forbidden
from core.security import AccessTokens
from core.unit_of_work import Work
from services.accounts.admission import Admission
from services.accounts.credentials import check_credentials
from services.accounts.identity import Identity
from services.accounts.people import Person, person
from services.accounts.registration import prepare_sign_up, register
from services.accounts.sessions import (
    InvalidRefreshToken,
    OpenSession,
    end_reused_session,
    end_session,
    find_refresh_token,
    open_session,
    rotate,
)

_LOGGED_OUT: Final = "logged_out"


@dataclass(frozen=True, slots=True, kw_only=True)
class Logins:
    """Dependencies of the functions below. A session expires after `days` without a refresh.

    With an `issuer`, the accounts are managed by it, and each function raises `Forbidden`.
    """

    work: Work
    reads: Callable[[Tenant], Reader]
    system: SystemScope
    admission: Admission
    tokens: AccessTokens
    identity: Identity
    days: int
    issuer: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedIn:
    """An open session: its tokens, its user, and the lifetime of the access token in seconds."""

    access_token: str
    refresh_token: str
    expires_in: int
    person: Person | None


async def sign_up(
    logins: Logins, *, organization_name: str, email: str, password: str, full_name: str, client: str
) -> LoggedIn:
    """Create an organization with its owner, and log the owner in.

    Raises `SignUpClosed`, `InputErrors` with all invalid values, `AddressTaken` or `RateLimited`.
    """
    _require_own_accounts(logins)
    account = await prepare_sign_up(
        logins.admission,
        organization_name=organization_name,
        email=email,
        password=password,
        full_name=full_name,
        client=client,
    )
    async with logins.work.begin(account.owner) as uow:
        await register(uow, account)
        session = await open_session(uow, account.user_id, days=logins.days)
    return await _logged_in(logins, session)


async def log_in(logins: Logins, *, email: str, password: str, client: str) -> LoggedIn:
    """Start a session; raises `InvalidCredentials`, or `RateLimited` after too many failures."""
    _require_own_accounts(logins)
    user = await check_credentials(logins.system, logins.admission, email=email, password=password, client=client)
    async with logins.work.begin(user) as uow:
        session = await open_session(uow, user.require_user_id(), days=logins.days)
    return await _logged_in(logins, session)


async def refresh(logins: Logins, refresh_token: str) -> LoggedIn:
    """Exchange a refresh token for the next one; raises `InvalidRefreshToken`.

    A token that is used twice was copied, and ends the session. The audit log names the system as the actor, because
    it is unknown which of the two callers is the user.
    """
    _require_own_accounts(logins)
    actor, session_id = await find_refresh_token(logins.system, refresh_token)
    async with logins.work.begin(actor) as uow:
        session = await rotate(uow, session_id, refresh_token, days=logins.days)
    if session is None:
        async with logins.work.begin(system_actor(actor.organization_id)) as uow:
            await end_reused_session(uow, session_id)
        await logins.identity.invalidate(session_id)
        raise InvalidRefreshToken
    return await _logged_in(logins, session)


async def log_out(logins: Logins, session: Session) -> bool:
    """End a session: its tokens stop working, its WebSocket connections close. False when it had ended."""
    _require_own_accounts(logins)
    return await _end(logins, session.actor, session.id)


async def log_out_by_token(logins: Logins, refresh_token: str) -> bool:
    """End the session of a refresh token, used or not; raises `InvalidRefreshToken` for one that is unknown."""
    _require_own_accounts(logins)
    return await _end(logins, *await find_refresh_token(logins.system, refresh_token))


async def _end(logins: Logins, actor: Actor, session_id: UUID) -> bool:
    async with logins.work.begin(actor) as uow:
        ended = await end_session(uow, session_id, reason=_LOGGED_OUT)
    await logins.identity.invalidate(session_id)
    return ended


async def _logged_in(logins: Logins, session: OpenSession) -> LoggedIn:
    user = user_actor(session.organization_id, session.user_id, None)
    return LoggedIn(
        access_token=logins.tokens.issue(
            user_id=session.user_id, organization_id=session.organization_id, session_id=session.session_id
        ),
        refresh_token=session.refresh_token,
        expires_in=logins.tokens.lifetime_seconds,
        person=await person(logins.reads(user.tenant), session.user_id),
    )


def _require_own_accounts(logins: Logins) -> None:
    if logins.issuer is not None:
        raise Forbidden(f"Accounts are managed by {logins.issuer}. Sign up and log in there.")
