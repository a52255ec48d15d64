"""Sessions of users, and the refresh tokens that continue them."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import Uuid, column, func, insert, select, update

from core import clock
from core.access.actor import Actor, user_actor
from core.database.scopes import SystemScope
from core.errors import ErrorCode, NudgeError
from core.ids import new_id
from core.pubsub import session_topic
from core.security import fingerprint, new_secret
from core.unit_of_work import UnitOfWork
from models.accounts import RefreshToken, User, UserSession
from services import audit


class InvalidRefreshToken(NudgeError):
    """The refresh token is unknown, used, or of a session that has ended."""

    code = ErrorCode.INVALID_CREDENTIALS

    def __init__(self) -> None:
        super().__init__(
            "This refresh token is no longer valid.",
            field=("input", "refreshToken"),
            suggestion="Log in again.",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSession:
    """An open session, with its current refresh token."""

    organization_id: UUID
    user_id: UUID
    session_id: UUID
    refresh_token: str


async def open_session(uow: UnitOfWork, user_id: UUID, *, days: int) -> OpenSession:
    """Start a session of a user; it expires after the number of days."""
    session_id = new_id()
    await uow.execute(
        insert(UserSession).values(
            id=session_id,
            organization_id=uow.tenant.organization_id,
            user_id=user_id,
            expires_at=clock.now() + timedelta(days=days),
        )
    )
    await uow.execute(update(User).where(User.id == user_id).values(last_login_at=func.now()))
    await audit.record(uow, "session.started", session_id, {"days": days})
    return await _issue_refresh_token(uow, user_id, session_id)


async def _issue_refresh_token(uow: UnitOfWork, user_id: UUID, session_id: UUID) -> OpenSession:
    """Issue a session's next refresh token; only its hash is stored."""
    token = new_secret()
    await uow.execute(
        insert(RefreshToken).values(
            fingerprint=fingerprint(token),
            organization_id=uow.tenant.organization_id,
            session_id=session_id,
        )
    )
    return OpenSession(
        organization_id=uow.tenant.organization_id, user_id=user_id, session_id=session_id, refresh_token=token
    )


async def find_refresh_token(system: SystemScope, token: str) -> tuple[Actor, UUID]:
    """The user and the session of a refresh token, used or not; raises `InvalidRefreshToken` for an unknown one.

    The user's role is not read: a user needs no permission for their own session.
    """
    sessions = func.system.session_for_refresh(fingerprint(token)).table_valued(
        column("organization_id", Uuid()), column("user_id", Uuid()), column("session_id", Uuid())
    )
    rows = await system.rows(select(sessions.c.organization_id, sessions.c.user_id, sessions.c.session_id))
    if not rows:
        raise InvalidRefreshToken
    organization_id, user_id, session_id = rows[0]
    return user_actor(organization_id, user_id, None), session_id


async def rotate(uow: UnitOfWork, session_id: UUID, token: str, *, days: int) -> OpenSession | None:
    """Exchange the session's refresh token for the next; None if it was used before.

    Of two concurrent calls with the same token, one gets None. Raises `InvalidRefreshToken` if the session has ended.
    """
    sessions = await uow.rows(
        select(UserSession.user_id)
        .join(User, User.id == UserSession.user_id)
        .where(
            UserSession.id == session_id,
            UserSession.ended_at.is_(None),
            UserSession.expires_at > func.now(),
            User.disabled_at.is_(None),
        )
        .with_for_update(of=UserSession)
    )
    if not sessions:
        raise InvalidRefreshToken
    used = await uow.execute(
        update(RefreshToken)
        .where(RefreshToken.fingerprint == fingerprint(token), RefreshToken.used_at.is_(None))
        .values(used_at=func.now())
    )
    if used.rowcount == 0:
        return None
    await uow.execute(
        update(UserSession).where(UserSession.id == session_id).values(expires_at=clock.now() + timedelta(days=days))
    )
    return await _issue_refresh_token(uow, sessions[0][0], session_id)


async def end_session(uow: UnitOfWork, session_id: UUID, *, reason: str) -> bool:
    """End a session: its tokens become invalid and its WebSocket connections close. False if it had ended before."""
    ended = await uow.rows(
        update(UserSession)
        .where(UserSession.id == session_id, UserSession.ended_at.is_(None))
        .values(ended_at=func.now(), ended_reason=reason)
        .returning(UserSession.user_id)
    )
    for (user_id,) in ended:
        await audit.record(uow, "session.ended", session_id, {"user": str(user_id), "reason": reason})
        uow.publish(session_topic(user_id))
    return bool(ended)


async def end_reused_session(uow: UnitOfWork, session_id: UUID) -> None:
    """End the session of a refresh token that was used twice and has therefore been copied."""
    await end_session(uow, session_id, reason="refresh_token_reused")
