"""The open WebSocket connections of this process: their number, limits, and closing at shutdown."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

from core.access.actor import Actor
from core.http.settings import RealtimeSettings

GOING_AWAY = 1001


class Closable(Protocol):
    """An open connection."""

    async def close(self, code: int, reason: str) -> None:
        """Close it with a code and a reason for the client."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionStatistics:
    """Numbers of open connections, of those that are authenticated, and of operations that run on them."""

    open: int
    authenticated: int
    operations: int


@dataclass(slots=True)
class OpenConnections:
    """Counts connections by actor (a user or an API key) and by organization, and enforces the limits."""

    limits: RealtimeSettings
    open: set[Closable] = field(default_factory=set)
    authenticated: int = 0
    by_actor: Counter[UUID] = field(default_factory=Counter)
    by_organization: Counter[UUID] = field(default_factory=Counter)
    operations: int = 0
    closing: bool = False

    @property
    def too_many_unauthenticated(self) -> bool:
        """Whether the limit of connections that have not authenticated yet is reached."""
        return len(self.open) - self.authenticated >= self.limits.unauthenticated

    def admit(self, actor: Actor) -> str | None:
        """Count an authenticated connection; returns the reason instead when a limit is reached."""
        if self.by_actor[actor.id] >= self.limits.per_user:
            return f"Too many connections: a user or key may have {self.limits.per_user}"
        if self.by_organization[actor.organization_id] >= self.limits.per_organization:
            return f"Too many connections: an organization may have {self.limits.per_organization}"
        self.authenticated += 1
        self.by_actor[actor.id] += 1
        self.by_organization[actor.organization_id] += 1
        return None

    def release(self, actor: Actor) -> None:
        """Stop counting an authenticated connection that has closed."""
        self.authenticated -= 1
        for counter, key in ((self.by_actor, actor.id), (self.by_organization, actor.organization_id)):
            counter[key] -= 1
            if not counter[key]:
                del counter[key]

    async def close_all(self) -> None:
        """Close every connection with 1001, and accept no more."""
        self.closing = True
        await asyncio.gather(*(one.close(GOING_AWAY, "The server is shutting down") for one in list(self.open)))

    def statistics(self) -> ConnectionStatistics:
        """The current numbers."""
        return ConnectionStatistics(open=len(self.open), authenticated=self.authenticated, operations=self.operations)
