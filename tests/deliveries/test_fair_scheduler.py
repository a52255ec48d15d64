"""Round-robin scheduling of batches over organizations, and over the campaigns of each."""

from core.ids import new_id
from services.deliveries.fair_scheduler import FairScheduler, Slot


async def slots(scheduler: FairScheduler, how_many: int) -> list[Slot]:
    """The next slots."""
    results = [await scheduler.next() for _ in range(how_many)]
    return [slot for slot in results if slot is not None]


async def test_scheduling_is_round_robin_over_organizations() -> None:
    """An organization with two campaigns has no more slots than one with a single campaign."""
    scheduler, large, small = FairScheduler(), new_id(), new_id()
    first, second, other = new_id(), new_id(), new_id()
    for organization_id, campaign_id in ((large, first), (large, second), (small, other)):
        scheduler.add(organization_id, campaign_id)
    assert [slot.campaign_id for slot in await slots(scheduler, 6)] == [first, other, second, other, first, other]


async def test_a_campaign_without_pending_messages_is_removed() -> None:
    """Unless it was added again since its slot, because the slot may not have seen the new messages."""
    scheduler, organization_id = FairScheduler(), new_id()
    campaigns = [new_id(), new_id()]
    for campaign_id in campaigns:
        scheduler.add(organization_id, campaign_id)
    first, second = await slots(scheduler, 2)
    scheduler.add(organization_id, second.campaign_id)
    for slot in (first, second):
        scheduler.remove(slot)
    assert list(scheduler.organizations[organization_id]) == [second.campaign_id]
    (left,) = await slots(scheduler, 1)
    scheduler.remove(left)
    assert not scheduler.organizations


async def test_a_closed_scheduler_has_no_slots() -> None:
    """Also for a caller that is waiting already, and if campaigns are in it."""
    scheduler = FairScheduler()
    scheduler.add(new_id(), new_id())
    scheduler.close()
    assert await scheduler.next() is None
