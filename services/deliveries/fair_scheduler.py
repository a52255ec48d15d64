"""Round-robin scheduling over organizations, and over the campaigns of each."""

import asyncio
from collections import OrderedDict
from typing import NamedTuple
from uuid import UUID


class Slot(NamedTuple):
    """A campaign's turn to send a batch. `added` is the number of the latest `add` call for it."""

    organization_id: UUID
    campaign_id: UUID
    added: int


class FairScheduler:
    """The campaigns that may have something to send, as far as this process was notified."""

    def __init__(self) -> None:
        self.organizations: OrderedDict[UUID, OrderedDict[UUID, int]] = OrderedDict()
        self.additions = 0
        self.closing = asyncio.Event()
        self.not_empty = asyncio.Event()

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self.closing.is_set()

    def add(self, organization_id: UUID, campaign_id: UUID) -> None:
        """Add a campaign that has something to send; one that is in the queue keeps its position."""
        self.additions += 1
        self.organizations.setdefault(organization_id, OrderedDict())[campaign_id] = self.additions
        self.not_empty.set()

    async def next(self) -> Slot | None:
        """Wait for the next slot; None once the scheduler is closed."""
        while not self.closed and not self.organizations:
            self.not_empty.clear()
            await self.not_empty.wait()
        if self.closed:
            return None
        organization_id, campaigns = next(iter(self.organizations.items()))
        campaign_id, added = next(iter(campaigns.items()))
        self.organizations.move_to_end(organization_id)
        campaigns.move_to_end(campaign_id)
        return Slot(organization_id, campaign_id, added)

    def remove(self, slot: Slot) -> None:
        """Remove a campaign that had nothing to send, unless it was added again since the slot was made."""
        campaigns = self.organizations.get(slot.organization_id)
        if campaigns is None or campaigns.get(slot.campaign_id) != slot.added:
            return
        del campaigns[slot.campaign_id]
        if not campaigns:
            del self.organizations[slot.organization_id]

    def close(self) -> None:
        """End every `next`, with None."""
        self.closing.set()
        self.not_empty.set()
