"""Archiving and unarchiving campaigns, and filtering lists by it."""

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
from services.campaigns.lifecycle import _CANCELLABLE, archive, change_status
from tests import factories
from tests.campaigns.calls import (
    ARCHIVE,
    CREATE,
    DELETE,
    DUPLICATE,
    UPDATE,
    caller,
    gid,
    mutate,
    mutation_payload,
    user_errors,
)
from tests.client import ApiClient
from tests.execution.company import Outbox

READ = "query ($id: ID!) { campaign(id: $id) { archivedAt version stats { audience } } }"
NAMES = "query ($filter: CampaignFilter) { campaigns(filter: $filter) { nodes { name } totalCount } }"
ARCHIVABLE = ["DRAFT", "SENT", "SENT_WITH_ISSUES", "CANCELLED", "FAILED"]


async def campaign_in(runtime: Runtime, owner: Actor, status: str) -> UUID:
    """A campaign with that status."""
    campaign_id = await factories.campaign(runtime, owner)
    async with runtime.work.begin(owner) as uow:
        await uow.execute(update(Campaign).where(Campaign.id == campaign_id).values(status=status.lower()))
    return campaign_id


async def read(mine: ApiClient, campaign_id: str) -> dict[str, Any]:
    """The campaign now."""
    campaign: dict[str, Any] = (await mine.execute(READ, {"id": campaign_id}))["campaign"]
    return campaign


async def actions(runtime: Runtime, owner: Actor) -> list[str]:
    """The audit log's actions, in order."""
    rows = await runtime.reads(owner.tenant).rows(select(AuditEvent.action).order_by(AuditEvent.id))
    return [row[0] for row in rows]


@pytest.mark.parametrize("status", ARCHIVABLE)
async def test_a_campaign_that_is_not_live_can_be_archived_and_unarchived(
    api: ApiClient, runtime: Runtime, status: str
) -> None:
    """Both increment the version and keep the status; a repeated call changes nothing and leaves no record."""
    owner = await factories.organization(runtime)
    mine = caller(api, runtime, owner)
    campaign_id = gid(await campaign_in(runtime, owner, status))
    archived = (await mutate(mine, ARCHIVE, campaignId=campaign_id))["campaign"]
    assert (archived["status"], archived["version"]) == (status, 2)
    assert archived["archivedAt"] == archived["updatedAt"] is not None
    assert (await mutate(mine, ARCHIVE, campaignId=campaign_id, archived=True, version=1))["campaign"] == archived
    assert (await read(mine, campaign_id))["archivedAt"] == archived["archivedAt"]
    back = (await mutate(mine, ARCHIVE, campaignId=campaign_id, archived=False))["campaign"]
    assert (back["status"], back["version"], back["archivedAt"]) == (status, 3, None)
    assert back["updatedAt"] > archived["updatedAt"]
    assert (await mutate(mine, ARCHIVE, campaignId=campaign_id, archived=False))["campaign"] == back
    assert await actions(runtime, owner) == ["campaign.archived", "campaign.unarchived"]


@pytest.mark.parametrize("status", sorted(set(CampaignStatus.__members__) - set(ARCHIVABLE)))
async def test_a_live_campaign_cannot_be_archived(api: ApiClient, runtime: Runtime, status: str) -> None:
    """The suggestion is what to do first; nothing changes."""
    owner = await factories.organization(runtime)
    mine = caller(api, runtime, owner)
    campaign_id = gid(await campaign_in(runtime, owner, status))
    [error] = await user_errors(mine, ARCHIVE, campaignId=campaign_id)
    assert (error["code"], error["field"]) == ("INVALID_STATE", ["input", "campaignId"])
    expected = {"SCHEDULED": "unscheduleCampaign", "CANCELLING": "after it has been cancelled"}.get(
        status, "cancelCampaign"
    )
    assert expected in error["suggestion"]
    assert (await read(mine, campaign_id))["version"] == 1
    assert await actions(runtime, owner) == []
    unchanged = (await mutate(mine, ARCHIVE, campaignId=campaign_id, archived=False))["campaign"]
    assert (unchanged["archivedAt"], unchanged["version"]) == (None, 1)


async def test_an_old_version_is_refused(api: ApiClient, runtime: Runtime) -> None:
    """A call with an old version gets the current one in its error."""
    mine = caller(api, runtime, await factories.organization(runtime))
    campaign_id = (await mutate(mine, CREATE, name="One"))["campaign"]["id"]
    await mutate(mine, UPDATE, campaignId=campaign_id, name="Two")
    for archived in (True, False):
        version = (await read(mine, campaign_id))["version"]
        [error] = await user_errors(mine, ARCHIVE, campaignId=campaign_id, archived=archived, version=version - 1)
        assert error["code"] == "CONFLICT"
        assert f"version {version}" in error["message"]
        await mutate(mine, ARCHIVE, campaignId=campaign_id, archived=archived, version=version)


async def test_one_of_many_concurrent_calls_archives_the_campaign(api: ApiClient, runtime: Runtime) -> None:
    """All return the archived campaign; there is one change and one record."""
    owner = await factories.organization(runtime)
    mine = caller(api, runtime, owner)
    campaign_id = gid(await factories.campaign(runtime, owner))
    payloads = await asyncio.gather(*(mutation_payload(mine, ARCHIVE, campaignId=campaign_id) for _ in range(5)))
    assert {payload["campaign"]["version"] for payload in payloads} == {2}
    assert await actions(runtime, owner) == ["campaign.archived"]


async def test_lists_can_be_filtered_by_archived(api: ApiClient, runtime: Runtime) -> None:
    """Without the filter all are listed; it can be combined with other filters."""
    mine = caller(api, runtime, await factories.organization(runtime))
    for name in ("One", "Two", "Three"):
        campaign_id = (await mutate(mine, CREATE, name=name))["campaign"]["id"]
        if name != "One":
            await mutate(mine, ARCHIVE, campaignId=campaign_id)

    async def list_names(**filter_input: object) -> list[str]:
        campaigns = (await mine.execute(NAMES, {"filter": filter_input}))["campaigns"]
        names = [node["name"] for node in campaigns["nodes"]]
        assert campaigns["totalCount"] == len(names)
        return names

    assert await list_names() == ["Three", "Two", "One"]
    assert await list_names(archived=True) == ["Three", "Two"]
    assert await list_names(archived=False) == ["One"]
    assert await list_names(archived=True, name={"contains": "w"}) == ["Two"]
    assert await list_names(**{"or": [{"archived": False}, {"name": {"contains": "thr"}}]}) == ["Three", "One"]


async def test_an_archived_draft_can_be_changed_copied_and_deleted(api: ApiClient, runtime: Runtime) -> None:
    """A change leaves it archived; its copy is not archived."""
    mine = caller(api, runtime, await factories.organization(runtime))
    campaign_id = (await mutate(mine, CREATE, name="One"))["campaign"]["id"]
    await mutate(mine, ARCHIVE, campaignId=campaign_id)
    copy_id = (await mutate(mine, DUPLICATE, campaignId=campaign_id))["campaign"]["id"]
    assert (await read(mine, copy_id))["archivedAt"] is None
    await mutate(mine, UPDATE, campaignId=campaign_id, name="Two")
    assert (await read(mine, campaign_id))["archivedAt"] is not None
    await mutate(mine, DELETE, campaignId=campaign_id)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (CampaignStatus.DRAFT, CampaignStatus.SCHEDULED),
        (CampaignStatus.DRAFT, CampaignStatus.PREPARING),
        (CampaignStatus.SENT_WITH_ISSUES, CampaignStatus.SENDING),
        (CampaignStatus.SENT_WITH_ISSUES, CampaignStatus.SENT),
    ],
)
async def test_a_campaign_that_becomes_live_is_unarchived(
    api: ApiClient, runtime: Runtime, before: CampaignStatus, after: CampaignStatus
) -> None:
    """A list without archived campaigns has all that are scheduled or sent; ended ones stay archived."""
    owner = await factories.organization(runtime)
    mine = caller(api, runtime, owner)
    campaign_id = await campaign_in(runtime, owner, before)
    await mutate(mine, ARCHIVE, campaignId=gid(campaign_id))
    async with runtime.work.begin(owner) as uow:
        await change_status(uow, campaign_id, after, from_statuses=(before,))
    assert ((await read(mine, gid(campaign_id)))["archivedAt"] is None) is (after in _CANCELLABLE)


async def test_archiving_does_not_change_the_progress(runtime: Runtime) -> None:
    """Its sequence counts deliveries and statuses: nothing is published or enqueued."""
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
