"""Campaigns that are archived, taken back, and found or left out in lists."""

import asyncio
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, update

from core.access.actor import Actor
from core.unit_of_work import Work
from models.audit import AuditEvent
from models.campaigns import Campaign, CampaignStats, CampaignStatus
from runtime import Runtime
from services.campaigns.lifecycle import _LIVE, archive, move
from tests import factories
from tests.campaigns.calls import ARCHIVE, CREATE, DELETE, DUPLICATE, UPDATE, ask, asked, caller, gid, refused
from tests.client import ApiClient
from tests.execution.company import Outbox

READ = "query ($id: ID!) { campaign(id: $id) { archivedAt version stats { audience } } }"
NAMES = "query ($filter: CampaignFilter) { campaigns(filter: $filter) { nodes { name } totalCount } }"
ARCHIVABLE = ["DRAFT", "SENT", "SENT_WITH_ISSUES", "CANCELLED", "FAILED"]


async def campaign_in(runtime: Runtime, owner: Actor, status: str) -> UUID:
    """A campaign, as if it had come to that status."""
    campaign_id = await factories.campaign(runtime, owner)
    async with runtime.work.begin(owner) as uow:
        await uow.execute(update(Campaign).where(Campaign.id == campaign_id).values(status=status.lower()))
    return campaign_id


async def seen(mine: ApiClient, campaign_id: str) -> dict[str, Any]:
    """The campaign as it is."""
    found: dict[str, Any] = (await mine.execute(READ, {"id": campaign_id}))["campaign"]
    return found


async def actions(runtime: Runtime, owner: Actor) -> list[str]:
    """The audit log's actions, in order."""
    rows = await runtime.reads(owner.tenant).rows(select(AuditEvent.action).order_by(AuditEvent.id))
    return [row[0] for row in rows]


@pytest.mark.parametrize("status", ARCHIVABLE)
async def test_what_is_not_live_is_archived_and_taken_back(api: ApiClient, runtime: Runtime, status: str) -> None:
    """Either way the version rises and the status stays; a repeat changes nothing and leaves no record."""
    owner = await factories.organization(runtime)
    mine = caller(api, runtime, owner)
    campaign_id = gid(await campaign_in(runtime, owner, status))
    archived = (await asked(mine, ARCHIVE, campaignId=campaign_id))["campaign"]
    assert (archived["status"], archived["version"]) == (status, 2)
    assert archived["archivedAt"] == archived["updatedAt"] is not None
    assert (await asked(mine, ARCHIVE, campaignId=campaign_id, archived=True, version=1))["campaign"] == archived
    assert (await seen(mine, campaign_id))["archivedAt"] == archived["archivedAt"]
    back = (await asked(mine, ARCHIVE, campaignId=campaign_id, archived=False))["campaign"]
    assert (back["status"], back["version"], back["archivedAt"]) == (status, 3, None)
    assert back["updatedAt"] > archived["updatedAt"]
    assert (await asked(mine, ARCHIVE, campaignId=campaign_id, archived=False))["campaign"] == back
    assert await actions(runtime, owner) == ["campaign.archived", "campaign.unarchived"]


@pytest.mark.parametrize("status", sorted(set(CampaignStatus.__members__) - set(ARCHIVABLE)))
async def test_what_is_live_is_not_archived(api: ApiClient, runtime: Runtime, status: str) -> None:
    """The refusal says what to do first; nothing has changed."""
    owner = await factories.organization(runtime)
    mine = caller(api, runtime, owner)
    campaign_id = gid(await campaign_in(runtime, owner, status))
    [error] = await refused(mine, ARCHIVE, campaignId=campaign_id)
    assert (error["code"], error["field"]) == ("INVALID_STATE", ["input", "campaignId"])
    expected = {"SCHEDULED": "unscheduleCampaign", "CANCELLING": "after it has been cancelled"}.get(
        status, "cancelCampaign"
    )
    assert expected in error["suggestion"]
    assert (await seen(mine, campaign_id))["version"] == 1
    assert await actions(runtime, owner) == []
    unchanged = (await asked(mine, ARCHIVE, campaignId=campaign_id, archived=False))["campaign"]
    assert (unchanged["archivedAt"], unchanged["version"]) == (None, 1)


async def test_an_old_version_is_refused(api: ApiClient, runtime: Runtime) -> None:
    """Who archives or takes back what was changed in between is told the version that there is."""
    mine = caller(api, runtime, await factories.organization(runtime))
    campaign_id = (await asked(mine, CREATE, name="One"))["campaign"]["id"]
    await asked(mine, UPDATE, campaignId=campaign_id, name="Two")
    for archived in (True, False):
        version = (await seen(mine, campaign_id))["version"]
        [error] = await refused(mine, ARCHIVE, campaignId=campaign_id, archived=archived, version=version - 1)
        assert error["code"] == "CONFLICT"
        assert f"version {version}" in error["message"]
        await asked(mine, ARCHIVE, campaignId=campaign_id, archived=archived, version=version)


async def test_of_many_at_once_one_archives_it(api: ApiClient, runtime: Runtime) -> None:
    """All are told that it is archived; there is one change and one record."""
    owner = await factories.organization(runtime)
    mine = caller(api, runtime, owner)
    campaign_id = gid(await factories.campaign(runtime, owner))
    payloads = await asyncio.gather(*(ask(mine, ARCHIVE, campaignId=campaign_id) for _ in range(5)))
    assert {payload["campaign"]["version"] for payload in payloads} == {2}
    assert await actions(runtime, owner) == ["campaign.archived"]


async def test_lists_are_filtered_by_what_is_archived(api: ApiClient, runtime: Runtime) -> None:
    """Left out, it filters nothing; it goes with other filters, and inside them."""
    mine = caller(api, runtime, await factories.organization(runtime))
    for name in ("One", "Two", "Three"):
        campaign_id = (await asked(mine, CREATE, name=name))["campaign"]["id"]
        if name != "One":
            await asked(mine, ARCHIVE, campaignId=campaign_id)

    async def found(**filter_input: object) -> list[str]:
        campaigns = (await mine.execute(NAMES, {"filter": filter_input}))["campaigns"]
        names = [node["name"] for node in campaigns["nodes"]]
        assert campaigns["totalCount"] == len(names)
        return names

    assert await found() == ["Three", "Two", "One"]
    assert await found(archived=True) == ["Three", "Two"]
    assert await found(archived=False) == ["One"]
    assert await found(archived=True, name={"contains": "w"}) == ["Two"]
    assert await found(**{"or": [{"archived": False}, {"name": {"contains": "thr"}}]}) == ["Three", "One"]


async def test_an_archived_draft_is_changed_copied_and_deleted_as_any_other(api: ApiClient, runtime: Runtime) -> None:
    """A change leaves it archived; its copy is not."""
    mine = caller(api, runtime, await factories.organization(runtime))
    campaign_id = (await asked(mine, CREATE, name="One"))["campaign"]["id"]
    await asked(mine, ARCHIVE, campaignId=campaign_id)
    copy_id = (await asked(mine, DUPLICATE, campaignId=campaign_id))["campaign"]["id"]
    assert (await seen(mine, copy_id))["archivedAt"] is None
    await asked(mine, UPDATE, campaignId=campaign_id, name="Two")
    assert (await seen(mine, campaign_id))["archivedAt"] is not None
    await asked(mine, DELETE, campaignId=campaign_id)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (CampaignStatus.DRAFT, CampaignStatus.SCHEDULED),
        (CampaignStatus.DRAFT, CampaignStatus.PREPARING),
        (CampaignStatus.SENT_WITH_ISSUES, CampaignStatus.SENDING),
        (CampaignStatus.SENT_WITH_ISSUES, CampaignStatus.SENT),
    ],
)
async def test_what_becomes_live_is_no_longer_archived(
    api: ApiClient, runtime: Runtime, before: CampaignStatus, after: CampaignStatus
) -> None:
    """So a list without the archived ones has all that is scheduled or sent; what has ended stays archived."""
    owner = await factories.organization(runtime)
    mine = caller(api, runtime, owner)
    campaign_id = await campaign_in(runtime, owner, before)
    await asked(mine, ARCHIVE, campaignId=gid(campaign_id))
    async with runtime.work.begin(owner) as uow:
        await move(uow, campaign_id, after, origins=(before,))
    assert ((await seen(mine, gid(campaign_id)))["archivedAt"] is None) is (after in _LIVE)


async def test_progress_does_not_move(runtime: Runtime) -> None:
    """Its sequence is that of the deliveries and of the status: watchers are not woken, and nothing is enqueued."""
    owner = await factories.organization(runtime)
    campaign_id = await factories.campaign(runtime, owner)
    sequence = select(CampaignStats.sequence, CampaignStats.updated_at).where(
        CampaignStats.campaign_id == campaign_id
    )
    before, outbox = await runtime.reads(owner.tenant).rows(sequence), Outbox()
    async with Work(runtime.engine, outbox, outbox).begin(owner) as uow:
        assert (await archive(uow, campaign_id, archived=True)).archived_at
    assert await runtime.reads(owner.tenant).rows(sequence) == before
    assert outbox.sent == []
