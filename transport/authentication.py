"""Authentication by the bearer token of a request's header, or of a WebSocket's connection_init."""

from core.access.session import Session
from core.errors import Unauthenticated
from services.accounts.identity import Identity


async def authenticate(identity: Identity, header: str | None) -> tuple[Session | None, Unauthenticated | None]:
    """The session of an Authorization header, or why it is invalid; neither without a header.

    An invalid token is not an error of the whole request: a client with an expired one may refresh its session.
    """
    if not header:
        return None, None
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        return None, Unauthenticated("Authorization must be `Bearer <access token>`.")
    token = token.strip()
    cached = identity.cached_session(token)
    if cached is not None:
        return cached, None
    try:
        return await identity.session(token), None
    except Unauthenticated as error:
        return None, error
