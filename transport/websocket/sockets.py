"""The open websockets of this process: how many, whose, and how they are all closed."""

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
        """Close it, telling the client why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketStatistics:
    """Open sockets, those of them that are authenticated, and operations that run on them."""

    open: int
    authenticated: int
    operations: int


@dataclass(slots=True)
class Sockets:
    """Counts sockets by actor, a user or an API key, and by organisation, within the limits."""

    limits: RealtimeSettings
    open: set[Closable] = field(default_factory=set)
    seated: int = 0
    of_actor: Counter[UUID] = field(default_factory=Counter)
    of_organization: Counter[UUID] = field(default_factory=Counter)
    operations: int = 0
    closing: bool = False

    @property
    def crowded(self) -> bool:
        """Whether as many sockets as may wait have not authenticated yet."""
        return len(self.open) - self.seated >= self.limits.unauthenticated

    def seat(self, actor: Actor) -> str | None:
        """Take a place for an authenticated socket; why not, when there is none left."""
        if self.of_actor[actor.id] >= self.limits.per_user:
            return f"Too many sockets: a user or key may have {self.limits.per_user}"
        if self.of_organization[actor.organization_id] >= self.limits.per_organization:
            return f"Too many sockets: an organization may have {self.limits.per_organization}"
        self.seated += 1
        self.of_actor[actor.id] += 1
        self.of_organization[actor.organization_id] += 1
        return None

    def leave(self, actor: Actor) -> None:
        """Give the place back."""
        self.seated -= 1
        for counter, key in ((self.of_actor, actor.id), (self.of_organization, actor.organization_id)):
            counter[key] -= 1
            if not counter[key]:
                del counter[key]

    async def close_all(self) -> None:
        """Close every socket with 1001, and take no more."""
        self.closing = True
        await asyncio.gather(*(one.close(GOING_AWAY, "The server goes away") for one in list(self.open)))

    def statistics(self) -> SocketStatistics:
        """What is open at this moment; all zero when nobody is there."""
        return SocketStatistics(open=len(self.open), authenticated=self.seated, operations=self.operations)
