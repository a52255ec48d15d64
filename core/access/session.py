"""The session behind a valid access token."""

from dataclasses import dataclass
from uuid import UUID

from core.access.actor import Actor


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """The actor, the id of the session, and when the token expires, in Unix seconds.

    `id` is the user's id if another issuer signed the token, because its sessions are not known here.
    """

    actor: Actor
    id: UUID
    expires_at: int
