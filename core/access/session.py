"""What a valid access token stands for."""

from dataclasses import dataclass
from uuid import UUID

from core.access.actor import Actor


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """The user who acts, the log-in that the token belongs to, and when the token expires, in Unix seconds.

    `id` is the user's own where a foreign issuer keeps the log-ins, as we do not know them.
    """

    actor: Actor
    id: UUID
    expires_at: int
