"""Whose turn it is: organisations in a circle, and the campaigns of each in a circle of their own."""

import asyncio
from collections import OrderedDict
from typing import NamedTuple
from uuid import UUID


class Turn(NamedTuple):
    """A campaign's turn, and which ring of the bell put it into the circle."""

    organization_id: UUID
    campaign_id: UUID
    ring: int


class Rotation:
    """The campaigns that have, as far as this process knows, something to send."""

    def __init__(self) -> None:
        self.circle: OrderedDict[UUID, OrderedDict[UUID, int]] = OrderedDict()
        self.rings = 0
        self.closing = asyncio.Event()
        self.something = asyncio.Event()

    @property
    def closed(self) -> bool:
        """Whether there are no more turns."""
        return self.closing.is_set()

    def ring(self, organization_id: UUID, campaign_id: UUID) -> None:
        """A campaign has something to send."""
        self.rings += 1
        self.circle.setdefault(organization_id, OrderedDict())[campaign_id] = self.rings
        self.something.set()

    async def next(self) -> Turn | None:
        """The next turn; waits for one, and is None once the rotation is closed."""
        while not self.closed and not self.circle:
            self.something.clear()
            await self.something.wait()
        if self.closed:
            return None
        organization_id, campaigns = next(iter(self.circle.items()))
        campaign_id, ring = next(iter(campaigns.items()))
        self.circle.move_to_end(organization_id)
        campaigns.move_to_end(campaign_id)
        return Turn(organization_id, campaign_id, ring)

    def empty(self, turn: Turn) -> None:
        """The campaign had nothing on its turn; it leaves, unless somebody rang for it since."""
        campaigns = self.circle.get(turn.organization_id)
        if campaigns is None or campaigns.get(turn.campaign_id) != turn.ring:
            return
        del campaigns[turn.campaign_id]
        if not campaigns:
            del self.circle[turn.organization_id]

    def close(self) -> None:
        """No more turns."""
        self.closing.set()
        self.something.set()
