"""Who sent a request: the bearer token of its header, or of a socket's connection_init."""

from core.access.session import Session
from core.errors import Unauthenticated
from services.accounts.identity import Identity


async def authenticate(identity: Identity, header: str | None) -> tuple[Session | None, Unauthenticated | None]:
    """The session behind an Authorization value, or why it is not valid; neither when there is none.

    Not an error of the whole request: a client with an expired token may still refresh its session.
    """
    if not header:
        return None, None
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        return None, Unauthenticated("Authorization must be `Bearer <access token>`.")
    token = token.strip()
    known = identity.cached_session(token)
    if known is not None:
        return known, None
    try:
        return await identity.session(token), None
    except Unauthenticated as refused:
        return None, refused
