"""The rules of campaigns below the API: idempotency, the audit log, the rate of sending."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update

from core.access.actor import Actor, system_actor
from core.access.tenant import Tenant
from core.errors import InvalidInput
from core.ids import new_id
from core.listing.pages import PageRequest
from models.audit import AuditEvent
from models.campaigns import CampaignStatus
from models.contacts import Contact, ContactStatus
from models.idempotency import IdempotencyKey
from runtime import Runtime
from services import audit, idempotency
from services.campaigns import lifecycle
from services.campaigns.listing import CAMPAIGNS
from services.campaigns.progress import DeliveryCounts, Figures, ProgressRow, read_figures
from services.campaigns.recipients import count_audience, count_audiences, count_mailable, has_mailable
from services.campaigns.watching import ProgressReader
from services.idempotency import IdempotencyKeyReused
from tests import factories
from tests.statements import rows_touched, statements

CAMPAIGN = new_id()
START = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


def recording_act(calls: list[str], name: str = "done") -> Callable[[], Coroutine[Any, Any, dict[str, str]]]:
    """An act that records that it was run."""

    async def act() -> dict[str, str]:
        calls.append(name)
        return {"result": name}

    return act


async def once(
    runtime: Runtime,
    owner: Actor,
    calls: list[str],
    *,
    key: str = "k",
    operation: str = "op",
    a: int = 1,
    name: str = "done",
) -> object:
    """Run an act under the key, for an operation and its argument."""
    async with runtime.work.begin(owner) as uow:
        return await idempotency.once(uow, key, operation, {"a": a}, recording_act(calls, name))


async def test_a_result_is_stored_and_replayed(runtime: Runtime) -> None:
    """The second request gets the first one's result, and nothing runs again; it is stored for 24 hours."""
    owner = await factories.organization(runtime)
    calls: list[str] = []
    assert await once(runtime, owner, calls) == await once(runtime, owner, calls) == {"result": "done"}
    assert calls == ["done"]
    rows = await runtime.reads(owner.tenant).rows(select(IdempotencyKey.expires_at - IdempotencyKey.created_at))
    assert [row[0] for row in rows] == [timedelta(hours=24)]


async def test_a_key_belongs_to_one_request(runtime: Runtime) -> None:
    """Other arguments, or another operation, are refused with the same key; another key is another request."""
    owner = await factories.organization(runtime)
    calls: list[str] = []
    await once(runtime, owner, calls)
    with pytest.raises(IdempotencyKeyReused):
        await once(runtime, owner, calls, a=2)
    with pytest.raises(IdempotencyKeyReused):
        await once(runtime, owner, calls, operation="other")
    await once(runtime, owner, calls, key="another")
    assert len(calls) == 2


async def test_each_key_replays_its_own_result(runtime: Runtime) -> None:
    """For any number of keys; keys may have up to 255 characters."""
    owner = await factories.organization(runtime)
    calls: list[str] = []
    keys = ("first", "second", "x" * 255)
    for _ in range(2):
        for key in keys:
            assert await once(runtime, owner, calls, key=key, name=f"of {key}") == {"result": f"of {key}"}
    assert calls == [f"of {key}" for key in keys]


async def test_an_expired_key_replays_nothing_of_its_first_request(runtime: Runtime) -> None:
    """Used again for a request without a result, it replays that; other keys of the organization stay in use."""
    owner = await factories.organization(runtime)
    calls: list[str] = []
    for key in ("k", "other"):
        await once(runtime, owner, calls, key=key)
    async with runtime.work.begin(owner) as uow:
        await uow.execute(update(IdempotencyKey).where(IdempotencyKey.key == "k").values(expires_at=func.now()))

    async def nothing() -> dict[str, str]:
        calls.append("nothing")
        return {}

    for _ in range(2):
        async with runtime.work.begin(owner) as uow:
            assert await idempotency.once(uow, "k", "op", {"a": 1}, nothing) == {}
    assert await once(runtime, owner, calls, key="other") == {"result": "done"}
    assert calls == ["done", "done", "nothing"]
    rows = await runtime.reads(owner.tenant).rows(select(IdempotencyKey.expires_at - IdempotencyKey.created_at))
    assert [row[0] for row in rows] == [timedelta(hours=24)] * 2


async def test_concurrent_requests_with_one_key_run_once(runtime: Runtime) -> None:
    """While the first one runs the others wait, and then get its result."""
    owner = await factories.organization(runtime)
    calls: list[str] = []

    async def slow() -> dict[str, str]:
        calls.append("slow")
        await asyncio.sleep(0.1)
        return {"result": "slow"}

    async def one() -> object:
        async with runtime.work.begin(owner) as uow:
            return await idempotency.once(uow, "k", "op", {}, slow)

    assert await asyncio.gather(*(one() for _ in range(4))) == [{"result": "slow"}] * 4
    assert calls == ["slow"]


async def test_a_failed_request_stores_nothing(runtime: Runtime) -> None:
    """An error rolls the key back, so that the corrected request can use it."""
    owner = await factories.organization(runtime)

    async def refuse() -> dict[str, str]:
        raise InvalidInput("no")

    with pytest.raises(InvalidInput):
        async with runtime.work.begin(owner) as uow:
            await idempotency.once(uow, "k", "op", {"a": 1}, refuse)
    calls: list[str] = []
    await once(runtime, owner, calls)
    assert calls == ["done"]


async def test_the_audit_log_distinguishes_users_and_the_system(runtime: Runtime) -> None:
    """A record without a user is the system's."""
    owner = await factories.organization(runtime)
    async with runtime.work.begin(owner) as uow:
        await audit.record(uow, "thing.done", owner.organization_id, {"n": 1})
    async with runtime.work.begin(system_actor(owner.organization_id)) as uow:
        await audit.record(uow, "thing.done", owner.organization_id)
    rows = await runtime.reads(owner.tenant).rows(
        select(AuditEvent.actor_kind, AuditEvent.user_id, AuditEvent.changes).order_by(AuditEvent.id)
    )
    assert [tuple(row) for row in rows] == [("user", owner.user_id, {"n": 1}), ("system", None, {})]


async def test_a_transition_increments_the_sequence(runtime: Runtime) -> None:
    """Subscribers ignore sequences that are not higher, so each transition has its own, and its time."""
    owner = await factories.organization(runtime)
    campaign_id = await factories.campaign(runtime, owner)
    figures = []
    for status in (CampaignStatus.PREPARING, CampaignStatus.SENDING, CampaignStatus.PAUSED):
        async with runtime.work.begin(owner) as uow:
            await lifecycle.change_status(uow, campaign_id, status)
        figures.append((await read_figures(runtime.reads(owner.tenant), [campaign_id]))[campaign_id])
    assert [row.sequence for row in figures] == [1, 2, 3]
    assert figures[0].updated_at < figures[1].updated_at < figures[2].updated_at


async def test_recent_campaigns_come_newest_first(runtime: Runtime) -> None:
    """As many as requested, of the own organization."""
    owner = await factories.organization(runtime)
    ids = [await factories.campaign(runtime, owner) for _ in range(3)]
    page = await CAMPAIGNS.page(runtime.reads(owner.tenant), PageRequest(size=2))
    assert [campaign.id for campaign in page.rows] == [ids[2], ids[1]]


async def test_counting_an_audience_reads_each_contact_a_few_times(runtime: Runtime) -> None:
    """Without statistics for new contacts, PostgreSQL must not compare all pairs."""
    owner = await factories.organization(runtime)
    await factories.contacts(runtime, owner, 2_000, tag="all of them")
    campaign_id = await factories.campaign(runtime, owner, tag="all of them")
    reads = runtime.reads(owner.tenant)
    with statements(runtime) as queries:
        assert await count_audience(reads, campaign_id) == await count_mailable(reads, campaign_id) == 2_000
        assert await has_mailable(reads, campaign_id)
    # All pairs would be four million; a sequential scan reads some thousands of rows of other tenants.
    assert [await rows_touched(runtime, *statement) < 2_000 * 2_000 / 4 for statement in queries] == [True] * 3


async def test_contacts_that_would_be_skipped_are_counted_but_not_mailable(runtime: Runtime) -> None:
    """For each campaign separately; the count is 0 if all would be skipped."""
    owner = await factories.organization(runtime)
    contacts = await factories.contacts(runtime, owner, 3)
    await factories.contacts(runtime, owner, 2, tag="tagged")
    everybody, tagged = (
        await factories.campaign(runtime, owner),
        await factories.campaign(runtime, owner, tag="tagged"),
    )
    reads = runtime.reads(owner.tenant)
    unsubscribed = update(Contact).values(status=ContactStatus.UNSUBSCRIBED)
    for some, mailable in ((contacts[:2], 3), (contacts, 2)):
        async with runtime.work.begin(owner) as uow:
            await uow.execute(unsubscribed.where(Contact.id.in_(some)))
        assert await count_audiences(reads, [everybody, tagged, CAMPAIGN]) == {everybody: 5, tagged: 2, CAMPAIGN: 0}
        assert [await count_mailable(reads, each) for each in (everybody, tagged)] == [mailable, 2]
    async with runtime.work.begin(owner) as uow:
        await uow.execute(unsubscribed)
    assert [await has_mailable(reads, each) for each in (everybody, tagged)] == [False, False]
    assert await count_audience(reads, everybody) == 5


def test_the_counts_among_the_figures_are_those_of_the_same_names() -> None:
    """They are taken by their position in the row, so both classes must have the same order."""
    figures = Figures._make(range(len(Figures._fields)))
    assert figures.counts._asdict() == {name: getattr(figures, name) for name in DeliveryCounts._fields}


def sample(seconds: float, accepted: int, status: CampaignStatus = CampaignStatus.SENDING) -> ProgressRow:
    """A campaign with 1,000 recipients at one moment."""
    moment = START + timedelta(seconds=seconds)
    counts = DeliveryCounts(1000, 1000 - accepted, 0, accepted, 0, 0, 0, 0, 0, 0, 0)
    return ProgressRow(CAMPAIGN, status, None, int(seconds * 10), moment, counts, 99.0, None)


def test_the_rate_is_that_of_the_last_seconds(runtime: Runtime) -> None:
    """Older samples leave the window, a standstill is 0, and a pause starts again."""
    reader = ProgressReader(runtime.reads(Tenant(organization_id=CAMPAIGN)), CAMPAIGN)

    def rate(seconds: float, accepted: int, status: CampaignStatus = CampaignStatus.SENDING) -> float | None:
        return reader.with_rate(sample(seconds, accepted, status)).rate

    assert rate(0, 0) == 99.0
    assert rate(5, 50) == 10.0
    assert rate(15, 250) == 20.0
    assert rate(26, 250) == 0.0
    assert rate(30, 250, CampaignStatus.PAUSED) == 99.0
    assert rate(60, 250) == 99.0
    assert rate(62, 350) == 50.0
    assert rate(64, 550) == 75.0
    assert rate(70, 550) == 30.0
    assert rate(72, 550) == 20.0


def test_the_time_left_follows_from_the_rate(runtime: Runtime) -> None:
    """Open deliveries divided by the rate; None at a standstill."""
    reader = ProgressReader(runtime.reads(Tenant(organization_id=CAMPAIGN)), CAMPAIGN)
    reader.with_rate(sample(0, 0))
    row = reader.with_rate(sample(10, 200))
    assert row.eta == row.updated_at + timedelta(seconds=40)
    assert reader.with_rate(sample(30, 200)).eta is None
