"""Creating, changing, duplicating and deleting drafts over HTTP."""

import asyncio
from functools import partial
from uuid import UUID

import pytest
from sqlalchemy import select, update

from core.access.actor import Actor
from core.access.permissions import Role
from core.ids import decode_global_id, encode_global_id, new_id
from models.audit import AuditEvent
from models.campaigns import Campaign, CampaignStatus
from runtime import Runtime
from services import lists
from services.campaigns import drafting
from services.campaigns.lifecycle import change_status
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
from tests.waiting import blocks_another, until

HTML = "<p>Hello {{ contact.firstName | default: 'there' }}</p>"


async def actions(runtime: Runtime, actor: Actor) -> list[str]:
    """The audit log's actions, in order."""
    rows = await runtime.reads(actor.tenant).rows(select(AuditEvent.action).order_by(AuditEvent.id))
    return [row[0] for row in rows]


async def test_a_created_draft_has_all_its_fields(api: ApiClient, runtime: Runtime) -> None:
    """All fields of the contract are there, with the audience counted and nothing sent."""
    owner = await factories.organization(runtime)
    mine = caller(api, runtime, owner)
    await factories.contacts(runtime, owner, 3, tag="vip")
    async with runtime.work.begin(owner) as uow:
        news = await lists.create(uow, "News")
    payload = await mutate(
        mine,
        CREATE,
        name="  Spring  ",
        subject="Hello",
        htmlContent=HTML,
        textContent="Hi",
        audience={"tags": ["vip", "vip"], "listIds": [encode_global_id("List", news.id)], "excludeTags": ["x"]},
        settings={"onDoubt": "HOLD"},
    )
    campaign = payload["campaign"]
    assert campaign["name"] == "Spring"
    assert (campaign["subject"], campaign["htmlContent"], campaign["textContent"]) == ("Hello", HTML, "Hi")
    assert (campaign["status"], campaign["version"], campaign["onDoubt"]) == ("DRAFT", 1, "HOLD")
    assert campaign["author"] == {"fullName": "Test User"}
    audience = campaign["audience"]
    assert (audience["all"], audience["tags"], audience["excludeTags"]) == (False, ["vip"], ["x"])
    assert [each["name"] for each in audience["lists"]] == ["News"]
    assert (audience["excludeLists"], audience["count"]) == ([], 3)
    assert campaign["stats"] == {"audience": 0, "sent": 0, "openRate": 0.0}
    assert campaign["progress"] == {
        "campaignId": campaign["id"],
        "sequence": 0,
        "status": "DRAFT",
        "audience": 0,
        "percent": 0.0,
    }
    assert await actions(runtime, owner) == ["list.created", "campaign.created"]


async def test_a_draft_needs_only_a_name(api: ApiClient, runtime: Runtime) -> None:
    """Texts and audience can be added later."""
    mine = caller(api, runtime, await factories.organization(runtime))
    campaign = (await mutate(mine, CREATE, name="Later"))["campaign"]
    assert (campaign["subject"], campaign["htmlContent"], campaign["audience"]["count"]) == ("", "", 0)


@pytest.mark.parametrize(
    ("values", "code", "field"),
    [
        ({"name": ""}, "REQUIRED", ["input", "name"]),
        ({"name": "x" * 201}, "TOO_LONG", ["input", "name"]),
        ({"name": "a\u0000b"}, "INVALID", ["input", "name"]),
        ({"name": "a", "subject": "x" * 999}, "TOO_LONG", ["input", "subject"]),
        ({"name": "a", "subject": "a\r\nBcc: b@example.com"}, "INVALID", ["input", "subject"]),
        ({"name": "a", "htmlContent": "x" * (512 * 1024 + 1)}, "TOO_LONG", ["input", "htmlContent"]),
        ({"name": "a", "textContent": "{% if %}"}, "TEMPLATE_INVALID", ["input", "textContent"]),
        ({"name": "a", "audience": {"tags": [" "]}}, "INVALID", ["input", "audience", "tags", "0"]),
        ({"name": "a", "audience": {"tags": ["t"] * 101}}, "TOO_MANY", ["input", "audience"]),
        ({"name": "a", "audience": {"listIds": ["nonsense"]}}, "NOT_FOUND", ["input", "audience", "listIds", "0"]),
        ({"name": "a", "templateId": "nonsense"}, "NOT_FOUND", ["input", "templateId"]),
    ],
)
async def test_invalid_input_is_refused_at_its_field(
    api: ApiClient, runtime: Runtime, values: dict[str, object], code: str, field: list[str]
) -> None:
    """Each error has its code and the path of the invalid input."""
    mine = caller(api, runtime, await factories.organization(runtime))
    errors = await user_errors(mine, CREATE, **values)
    assert [(error["code"], error["field"]) for error in errors] == [(code, field)]


async def test_a_template_error_has_line_and_column(api: ApiClient, runtime: Runtime) -> None:
    """All invalid texts are reported together, each with the position of its error."""
    mine = caller(api, runtime, await factories.organization(runtime))
    errors = await user_errors(
        mine, CREATE, name="Broken", subject="Hi {{ contact.firstName", htmlContent="<p>\n {% endif %}</p>"
    )
    assert [(error["code"], error["field"][-1]) for error in errors] == [
        ("TEMPLATE_INVALID", "subject"),
        ("TEMPLATE_INVALID", "htmlContent"),
    ]
    assert "line 1, column 4" in errors[0]["message"]
    assert "line 2, column" in errors[1]["message"]


async def test_an_update_changes_the_given_fields(api: ApiClient, runtime: Runtime) -> None:
    """Other fields stay as they are, null clears a field, and the version is incremented."""
    mine = caller(api, runtime, await factories.organization(runtime))
    draft = (await mutate(mine, CREATE, name="One", subject="S", htmlContent=HTML, audience={"all": True}))[
        "campaign"
    ]
    first = (await mutate(mine, UPDATE, campaignId=draft["id"], name="Two", textContent="T", version=1))["campaign"]
    assert (first["name"], first["subject"], first["textContent"], first["version"]) == ("Two", "S", "T", 2)
    assert first["audience"] == {"all": True, "tags": []}
    second = (
        await mutate(mine, UPDATE, campaignId=draft["id"], subject=None, textContent=None, audience={"tags": ["vip"]})
    )["campaign"]
    assert (second["subject"], second["textContent"], second["htmlContent"]) == ("", "", HTML)
    assert second["audience"] == {"all": False, "tags": ["vip"]}
    errors = await user_errors(mine, UPDATE, campaignId=draft["id"], name=None)
    assert errors[0]["code"] == "REQUIRED"


async def test_settings_change_only_if_given(api: ApiClient, runtime: Runtime) -> None:
    """An empty object changes nothing; null means the default."""
    mine = caller(api, runtime, await factories.organization(runtime))
    draft = (await mutate(mine, CREATE, name="One", settings={"onDoubt": "HOLD"}))["campaign"]
    for settings, expected in (({}, "HOLD"), (None, "RECONCILE_THEN_RETRY")):
        campaign = (await mutate(mine, UPDATE, campaignId=draft["id"], settings=settings))["campaign"]
        assert campaign["onDoubt"] == expected


async def test_an_old_version_does_not_overwrite_a_newer_one(api: ApiClient, runtime: Runtime) -> None:
    """The second of two editors gets a conflict, and can retry with the current version."""
    mine = caller(api, runtime, await factories.organization(runtime))
    draft = (await mutate(mine, CREATE, name="One"))["campaign"]
    await mutate(mine, UPDATE, campaignId=draft["id"], name="Hers", version=1)
    errors = await user_errors(mine, UPDATE, campaignId=draft["id"], name="His", version=1)
    assert errors[0]["code"] == "CONFLICT"
    assert "version 2" in errors[0]["message"]
    await mutate(mine, UPDATE, campaignId=draft["id"], name="His", version=2)


async def test_concurrent_updates_lose_no_change_silently(api: ApiClient, runtime: Runtime) -> None:
    """The second one either follows the first, or gets a conflict."""
    mine = caller(api, runtime, await factories.organization(runtime))
    draft = (await mutate(mine, CREATE, name="One"))["campaign"]
    payloads = await asyncio.gather(
        *(mutation_payload(mine, UPDATE, campaignId=draft["id"], name=f"Name {n}", version=1) for n in range(4))
    )
    assert sum(payload["userErrors"] == [] for payload in payloads) == 1
    assert {error["code"] for payload in payloads for error in payload["userErrors"]} == {"CONFLICT"}


async def test_only_drafts_can_be_changed(api: ApiClient, runtime: Runtime) -> None:
    """Other campaigns stay as they are, and the error suggests what to do instead."""
    owner = await factories.organization(runtime)
    mine = caller(api, runtime, owner)
    campaign_id = await factories.campaign(runtime, owner)
    async with runtime.work.begin(owner) as uow:
        await change_status(uow, campaign_id, CampaignStatus.PREPARING)
    errors = await user_errors(mine, UPDATE, campaignId=gid(campaign_id), name="New")
    assert errors[0]["code"] == "INVALID_STATE"
    assert "duplicateCampaign" in errors[0]["suggestion"]


async def test_a_copy_is_a_separate_draft(api: ApiClient, runtime: Runtime) -> None:
    """Texts, settings and audience are copied, the name begins with "Copy of", and a long name is cut."""
    mine = caller(api, runtime, await factories.organization(runtime))
    content = {"subject": "S", "htmlContent": HTML, "textContent": "T", "audience": {"tags": ["vip"]}}
    payload = await mutate(mine, CREATE, name="n" * 200, settings={"onDoubt": "HOLD"}, **content)
    copy = (await mutate(mine, DUPLICATE, campaignId=payload["campaign"]["id"]))["campaign"]
    assert copy.pop("id") != payload["campaign"]["id"]
    assert copy == {**content, "name": ("Copy of " + "n" * 200)[:200], "onDoubt": "HOLD", "status": "DRAFT"}


async def test_a_copy_excludes_the_same_contacts(api: ApiClient, runtime: Runtime) -> None:
    """The excluded lists and tags are copied."""
    owner = await factories.organization(runtime)
    mine = caller(api, runtime, owner)
    await factories.contacts(runtime, owner, 2)
    await factories.contacts(runtime, owner, 3, tag="left")
    async with runtime.work.begin(owner) as uow:
        partners = await lists.create(uow, "Partners")
    excluded = {"excludeTags": ["left"], "excludeListIds": [encode_global_id("List", partners.id)]}
    draft = (await mutate(mine, CREATE, name="Original", audience={"all": True, **excluded}))["campaign"]
    copy = (await mutate(mine, DUPLICATE, campaignId=draft["id"]))["campaign"]
    query = "query ($id: ID!) { campaign(id: $id) { audience { all excludeTags excludeLists { name } count } } }"
    for each in (draft, copy):
        audience = (await mine.execute(query, {"id": each["id"]}))["campaign"]["audience"]
        assert audience == {"all": True, "excludeTags": ["left"], "excludeLists": [{"name": "Partners"}], "count": 2}


async def test_a_copy_keeps_the_order_of_the_lists(api: ApiClient, runtime: Runtime) -> None:
    """The copy has the lists in the same order as the original."""
    owner = await factories.organization(runtime)
    mine = caller(api, runtime, owner)
    async with runtime.work.begin(owner) as uow:
        rows = [await lists.create(uow, f"List {number}") for number in range(8)]
    ids = [encode_global_id("List", row.id) for row in rows]
    draft = (await mutate(mine, CREATE, name="Original", audience={"listIds": ids}))["campaign"]
    copy = (await mutate(mine, DUPLICATE, campaignId=draft["id"]))["campaign"]
    query = "query ($id: ID!) { campaign(id: $id) { audience { lists { id } } } }"
    original, duplicate = [await mine.execute(query, {"id": each["id"]}) for each in (draft, copy)]
    assert original == duplicate
    assert len(original["campaign"]["audience"]["lists"]) == 8


async def test_a_cancelled_campaign_with_deliveries_cannot_be_deleted(api: ApiClient, runtime: Runtime) -> None:
    """Its status would allow it, but its deliveries are the record of what was sent."""
    owner = await factories.organization(runtime)
    mine = caller(api, runtime, owner)
    [contact_id] = await factories.contacts(runtime, owner, 1)
    campaign_id = await factories.campaign(runtime, owner)
    await factories.delivery(runtime, owner, campaign_id, contact_id)
    async with runtime.work.begin(owner) as uow:
        await uow.execute(update(Campaign).values(status=CampaignStatus.CANCELLED))
    errors = await user_errors(mine, DELETE, campaignId=gid(campaign_id))
    assert [error["code"] for error in errors] == ["INVALID_STATE"]


async def test_a_deleted_campaign_is_returned_and_then_unknown(api: ApiClient, runtime: Runtime) -> None:
    """The payload has its last values; afterwards its id is unknown."""
    owner = await factories.organization(runtime)
    mine = caller(api, runtime, owner)
    created_campaign = await mutate(mine, CREATE, name="Gone", htmlContent=HTML, audience={"tags": ["vip"]})
    campaign_id = created_campaign["campaign"]["id"]
    payload = await mutate(mine, DELETE, campaignId=campaign_id)
    assert payload["deletedCampaignId"] == campaign_id
    assert payload["campaign"] == {
        "id": campaign_id,
        "name": "Gone",
        "htmlContent": HTML,
        "audience": {"tags": ["vip"]},
        "stats": {"audience": 0},
        "progress": {"sequence": 0},
    }
    assert (await mine.execute("query ($id: ID!) { campaign(id: $id) { id } }", {"id": campaign_id}))[
        "campaign"
    ] is None
    assert (await user_errors(mine, DELETE, campaignId=campaign_id))[0]["code"] == "NOT_FOUND"
    assert await actions(runtime, owner) == ["campaign.created", "campaign.deleted"]


@pytest.mark.parametrize(("mutation", "values"), [(DELETE, {}), (UPDATE, {"name": "Mine"})])
async def test_a_call_that_waits_for_a_concurrent_change_is_refused(
    api: ApiClient, runtime: Runtime, mutation: str, values: dict[str, str]
) -> None:
    """A deletion or change waits for the concurrent one, and then fails: its caller has not seen that result."""
    owner = await factories.organization(runtime)
    mine = caller(api, runtime, owner)
    campaign_id = (await mutate(mine, CREATE, name="Before"))["campaign"]["id"]
    async with runtime.work.begin(owner) as uow:
        await drafting.update(uow, only_id(campaign_id), {"name": "After"})
        refusal = asyncio.create_task(user_errors(mine, mutation, campaignId=campaign_id, **values))
        await until(partial(blocks_another, runtime, uow))
    assert [error["code"] for error in await refusal] == ["CONFLICT"]
    data = await mine.execute("query ($id: ID!) { campaign(id: $id) { name } }", {"id": campaign_id})
    assert data["campaign"] == {"name": "After"}
    assert await actions(runtime, owner) == ["campaign.created", "campaign.updated"]


def only_id(global_id: str) -> UUID:
    """The id in a global id."""
    decoded = decode_global_id(global_id)
    assert decoded is not None
    return decoded[1]


async def test_a_sent_campaign_cannot_be_deleted(api: ApiClient, runtime: Runtime) -> None:
    """Its deliveries are the record of what was sent."""
    owner = await factories.organization(runtime)
    mine = caller(api, runtime, owner)
    campaign_id = await factories.campaign(runtime, owner)
    async with runtime.work.begin(owner) as uow:
        await change_status(uow, campaign_id, CampaignStatus.PREPARING)
        await change_status(uow, campaign_id, CampaignStatus.SENDING)
    errors = await user_errors(mine, DELETE, campaignId=gid(campaign_id))
    assert errors[0]["code"] == "INVALID_STATE"
    assert errors[0]["suggestion"]


@pytest.mark.parametrize("mutation", [UPDATE, DELETE, DUPLICATE, ARCHIVE])
async def test_a_campaign_of_another_organization_is_unknown(api: ApiClient, runtime: Runtime, mutation: str) -> None:
    """Neither code nor message reveals whether the id exists."""
    theirs = await factories.campaign(runtime, await factories.organization(runtime))
    mine = caller(api, runtime, await factories.organization(runtime))
    answers = [await user_errors(mine, mutation, campaignId=value) for value in (gid(theirs), gid(new_id()), "x")]
    assert answers[0] == answers[1] == answers[2]
    assert (answers[0][0]["code"], answers[0][0]["field"]) == ("NOT_FOUND", ["input", "campaignId"])


async def test_viewers_can_read_but_not_write(api: ApiClient, runtime: Runtime) -> None:
    """A viewer's mutation is the top-level error FORBIDDEN."""
    mine = caller(api, runtime, await factories.organization(runtime, role=Role.VIEWER))
    for mutation, values in ((CREATE, {"name": "No"}), (ARCHIVE, {"campaignId": "x"})):
        reply = await mine.send(mutation, {"input": values})
        assert reply.codes == ["FORBIDDEN"]
