"""Commands on campaigns over HTTP: send, pause, resume, cancel, schedule, and validation."""

import asyncio
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

import pytest
from sqlalchemy import insert, select, update

from core.access.actor import Actor
from core.access.permissions import Role
from core.ids import new_id
from models.audit import AuditEvent
from models.campaigns import Campaign, CampaignStatus
from models.contacts import Contact, ContactStatus
from models.idempotency import IdempotencyKey
from models.suppressions import Suppression, SuppressionReason
from runtime import Runtime
from services.campaigns import drafting, sending
from services.campaigns.lifecycle import CampaignChanged, change_status
from tests import factories
from tests.campaigns.calls import CREATE, VALIDATE, caller, command, gid, mutate, mutation_payload, user_errors
from tests.client import ApiClient
from tests.waiting import blocks_another, until

SEND = command("send")


async def sendable(runtime: Runtime, owner: Actor) -> UUID:
    """A draft to three contacts."""
    await factories.contacts(runtime, owner, 3)
    return await factories.campaign(runtime, owner)


async def change_through(runtime: Runtime, owner: Actor, campaign_id: UUID, *statuses: CampaignStatus) -> None:
    """Change the campaign to each of the statuses in turn."""
    async with runtime.work.begin(owner) as uow:
        for status in statuses:
            await change_status(uow, campaign_id, status)


async def test_sending_starts_the_preparation(api: ApiClient, runtime: Runtime) -> None:
    """The returned campaign is PREPARING, and the audit log has the user who sent it."""
    owner = await factories.organization(runtime)
    campaign_id = await sendable(runtime, owner)
    campaign = (await mutate(caller(api, runtime, owner), SEND, campaignId=gid(campaign_id)))["campaign"]
    assert (campaign["status"], campaign["version"]) == ("PREPARING", 2)
    rows = await runtime.reads(owner.tenant).rows(
        select(AuditEvent.action, AuditEvent.user_id, AuditEvent.target_id, AuditEvent.request_id)
    )
    assert [tuple(row)[:3] for row in rows] == [("campaign.sent", owner.user_id, campaign_id)]
    assert rows[0][3]


async def test_all_missing_parts_are_reported_at_once(api: ApiClient, runtime: Runtime) -> None:
    """An empty draft is refused with a reason and a suggestion for each missing part."""
    mine = caller(api, runtime, await factories.organization(runtime))
    draft = (await mutate(mine, CREATE, name="Empty"))["campaign"]
    errors = await user_errors(mine, SEND, campaignId=draft["id"])
    assert [error["message"] for error in errors] == [
        "The subject is empty.",
        "The HTML content is empty.",
        "The campaign has no audience.",
    ]
    assert {error["code"] for error in errors} == {"CAMPAIGN_NOT_SENDABLE"}
    assert all("updateCampaign" in error["suggestion"] for error in errors)


async def test_an_audience_without_mailable_contacts_is_refused(api: ApiClient, runtime: Runtime) -> None:
    """Unsubscribed and suppressed contacts do not count."""
    owner = await factories.organization(runtime)
    campaign_id = await sendable(runtime, owner)
    async with runtime.work.begin(owner) as uow:
        await uow.execute(update(Contact).values(status=ContactStatus.UNSUBSCRIBED))
    errors = await user_errors(caller(api, runtime, owner), SEND, campaignId=gid(campaign_id))
    assert [error["message"] for error in errors] == ["No contact in the audience can be mailed."]


async def test_a_sent_campaign_is_not_sent_again(api: ApiClient, runtime: Runtime) -> None:
    """Without a key the second call is refused, whatever the status of the campaign."""
    owner = await factories.organization(runtime)
    mine = caller(api, runtime, owner)
    campaign_id = await sendable(runtime, owner)
    await mutate(mine, SEND, campaignId=gid(campaign_id))
    errors = await user_errors(mine, SEND, campaignId=gid(campaign_id))
    assert errors[0]["code"] == "INVALID_STATE"
    assert "duplicateCampaign" in errors[0]["suggestion"]


async def test_the_same_key_replays_the_first_result(api: ApiClient, runtime: Runtime) -> None:
    """A repeated call succeeds without starting anything; the same key for another campaign is refused."""
    owner = await factories.organization(runtime)
    mine = caller(api, runtime, owner)
    campaign_id = await sendable(runtime, owner)
    other = await factories.campaign(runtime, owner)
    first = await mutate(mine, SEND, campaignId=gid(campaign_id), idempotencyKey="k-1")
    again = await mutate(mine, SEND, campaignId=gid(campaign_id), idempotencyKey="k-1")
    assert first == again
    errors = await user_errors(mine, SEND, campaignId=gid(other), idempotencyKey="k-1")
    assert (errors[0]["code"], errors[0]["field"]) == ("IDEMPOTENCY_KEY_REUSED", ["input", "idempotencyKey"])


async def test_concurrent_calls_with_one_key_have_one_effect(api: ApiClient, runtime: Runtime) -> None:
    """The slower call waits and gets the result of the faster one."""
    owner = await factories.organization(runtime)
    mine = caller(api, runtime, owner)
    campaign_id = await sendable(runtime, owner)
    payloads = await asyncio.gather(
        *(mutate(mine, SEND, campaignId=gid(campaign_id), idempotencyKey="same") for _ in range(4))
    )
    assert {payload["campaign"]["version"] for payload in payloads} == {2}
    sent = await runtime.reads(owner.tenant).rows(select(AuditEvent.id).where(AuditEvent.action == "campaign.sent"))
    assert len(sent) == 1


async def test_concurrent_calls_without_a_key_start_one_campaign(api: ApiClient, runtime: Runtime) -> None:
    """Exactly one call succeeds; the others get the reason."""
    owner = await factories.organization(runtime)
    mine = caller(api, runtime, owner)
    campaign_id = await sendable(runtime, owner)
    payloads = await asyncio.gather(*(mutation_payload(mine, SEND, campaignId=gid(campaign_id)) for _ in range(4)))
    assert sum(payload["userErrors"] == [] for payload in payloads) == 1
    codes = {error["code"] for payload in payloads for error in payload["userErrors"]}
    assert codes <= {"CONFLICT", "INVALID_STATE"}


@pytest.mark.parametrize("later", [False, True])
async def test_a_concurrent_change_prevents_sending(runtime: Runtime, *, later: bool) -> None:
    """A call that waits for a change of the draft is refused: its caller has not seen the changed content."""
    owner = await factories.organization(runtime)
    campaign_id = await sendable(runtime, owner)

    async def send() -> None:
        async with runtime.work.begin(owner) as uow:
            if later:
                moment = datetime.now(UTC) + timedelta(days=1)
                await sending.schedule(uow, campaign_id, moment, policy=runtime.sender_policy)
            else:
                await sending.send(uow, campaign_id, policy=runtime.sender_policy)

    async with runtime.work.begin(owner) as uow:
        await drafting.update(uow, campaign_id, {"name": "After"})
        waiting = asyncio.create_task(send())
        await until(partial(blocks_another, runtime, uow))
    with pytest.raises(CampaignChanged):
        await waiting


async def test_a_refused_call_does_not_use_up_its_key(api: ApiClient, runtime: Runtime) -> None:
    """Once the cause is fixed, the same call with the same key succeeds."""
    owner = await factories.organization(runtime)
    mine = caller(api, runtime, owner)
    campaign_id = await factories.campaign(runtime, owner)
    await user_errors(mine, SEND, campaignId=gid(campaign_id), idempotencyKey="k")
    await factories.contacts(runtime, owner, 1)
    await mutate(mine, SEND, campaignId=gid(campaign_id), idempotencyKey="k")


async def test_an_expired_key_can_be_used_again(api: ApiClient, runtime: Runtime) -> None:
    """After 24 hours a key can be used for another request."""
    owner = await factories.organization(runtime)
    mine = caller(api, runtime, owner)
    first = await sendable(runtime, owner)
    second = await factories.campaign(runtime, owner)
    await mutate(mine, SEND, campaignId=gid(first), idempotencyKey="k")
    async with runtime.work.begin(owner) as uow:
        await uow.execute(update(IdempotencyKey).values(expires_at=datetime.now(UTC)))
    payload = await mutate(mine, SEND, campaignId=gid(second), idempotencyKey="k")
    assert payload["campaign"]["id"] == gid(second)


@pytest.mark.parametrize("key", ["", "x" * 256, "a\nb"])
async def test_an_invalid_key_is_refused(api: ApiClient, runtime: Runtime, key: str) -> None:
    """Keys have 1 to 255 printable characters."""
    owner = await factories.organization(runtime)
    campaign_id = await sendable(runtime, owner)
    errors = await user_errors(caller(api, runtime, owner), SEND, campaignId=gid(campaign_id), idempotencyKey=key)
    assert (errors[0]["code"], errors[0]["field"]) == ("INVALID", ["input", "idempotencyKey"])


async def test_keys_belong_to_an_organization(api: ApiClient, runtime: Runtime) -> None:
    """Two organizations can use the same key."""
    for _ in range(2):
        owner = await factories.organization(runtime)
        campaign_id = await sendable(runtime, owner)
        await mutate(caller(api, runtime, owner), SEND, campaignId=gid(campaign_id), idempotencyKey="shared")


async def test_pause_resume_and_cancel(api: ApiClient, runtime: Runtime) -> None:
    """A campaign that is being sent can be paused, resumed and cancelled, each with its reason."""
    owner = await factories.organization(runtime)
    mine = caller(api, runtime, owner)
    campaign_id = await sendable(runtime, owner)
    await change_through(runtime, owner, campaign_id, CampaignStatus.PREPARING, CampaignStatus.SENDING)
    paused = (await mutate(mine, command("pause"), campaignId=gid(campaign_id)))["campaign"]
    assert (paused["status"], paused["statusReason"]) == ("PAUSED", "Paused by a user.")
    resumed = (await mutate(mine, command("resume"), campaignId=gid(campaign_id)))["campaign"]
    assert (resumed["status"], resumed["statusReason"]) == ("SENDING", None)
    cancelled = (await mutate(mine, command("cancel"), campaignId=gid(campaign_id)))["campaign"]
    assert cancelled["status"] in {"CANCELLING", "CANCELLED"}
    errors = await user_errors(mine, command("resume"), campaignId=gid(campaign_id))
    assert errors[0]["code"] == "INVALID_STATE"


async def test_a_campaign_in_preparation_cannot_be_resumed(api: ApiClient, runtime: Runtime) -> None:
    """Its audience is not frozen yet, so that some recipients would be missing."""
    owner = await factories.organization(runtime)
    mine = caller(api, runtime, owner)
    campaign_id = await sendable(runtime, owner)
    await mutate(mine, SEND, campaignId=gid(campaign_id))
    errors = await user_errors(mine, command("resume"), campaignId=gid(campaign_id))
    assert errors[0]["code"] == "INVALID_STATE"
    assert errors[0]["suggestion"] == "Only a campaign that is paused can become sending."


@pytest.mark.parametrize("name", ["pause", "resume", "cancel", "unschedule"])
async def test_a_draft_cannot_be_paused_or_resumed(api: ApiClient, runtime: Runtime, name: str) -> None:
    """The error suggests with which status the command is allowed."""
    owner = await factories.organization(runtime)
    campaign_id = await factories.campaign(runtime, owner)
    errors = await user_errors(caller(api, runtime, owner), command(name), campaignId=gid(campaign_id))
    assert (errors[0]["code"], errors[0]["field"]) == ("INVALID_STATE", ["input", "campaignId"])
    assert errors[0]["suggestion"]


async def test_a_draft_is_scheduled_and_unscheduled(api: ApiClient, runtime: Runtime) -> None:
    """A scheduled campaign has its time; unscheduled it is a draft without one."""
    owner = await factories.organization(runtime)
    mine = caller(api, runtime, owner)
    campaign_id = await sendable(runtime, owner)
    at = (datetime.now(UTC) + timedelta(days=2)).replace(microsecond=0)
    campaign = (await mutate(mine, command("schedule"), campaignId=gid(campaign_id), scheduledAt=at.isoformat()))[
        "campaign"
    ]
    assert campaign["status"] == "SCHEDULED"
    assert datetime.fromisoformat(campaign["scheduledAt"]) == at
    campaign = (await mutate(mine, command("unschedule"), campaignId=gid(campaign_id)))["campaign"]
    assert (campaign["status"], campaign["scheduledAt"]) == ("DRAFT", None)


@pytest.mark.parametrize("ahead", [timedelta(seconds=-1), timedelta(days=367)])
async def test_a_time_in_the_past_or_too_far_ahead_is_refused(
    api: ApiClient, runtime: Runtime, ahead: timedelta
) -> None:
    """The time must be in the future, within 366 days."""
    owner = await factories.organization(runtime)
    campaign_id = await sendable(runtime, owner)
    at = (datetime.now(UTC) + ahead).isoformat()
    errors = await user_errors(
        caller(api, runtime, owner), command("schedule"), campaignId=gid(campaign_id), scheduledAt=at
    )
    assert (errors[0]["code"], errors[0]["field"]) == ("INVALID", ["input", "scheduledAt"])


@pytest.mark.parametrize("name", ["send", "pause", "resume", "cancel", "unschedule"])
async def test_a_campaign_of_another_organization_is_unknown_to_commands(
    api: ApiClient, runtime: Runtime, name: str
) -> None:
    """Its id gives the same error as an unknown one."""
    theirs = await sendable(runtime, await factories.organization(runtime))
    mine = caller(api, runtime, await factories.organization(runtime))
    answers = [
        await user_errors(mine, command(name), campaignId=value) for value in (gid(theirs), gid(new_id()), "x")
    ]
    assert answers[0] == answers[1] == answers[2]
    assert answers[0][0]["code"] == "NOT_FOUND"


async def test_viewers_cannot_send(api: ApiClient, runtime: Runtime) -> None:
    """Sending requires its own permission."""
    viewer = await factories.organization(runtime, role=Role.VIEWER)
    campaign_id = await sendable(runtime, viewer)
    reply = await caller(api, runtime, viewer).send(SEND, {"input": {"campaignId": gid(campaign_id)}})
    assert reply.codes == ["FORBIDDEN"]
    rows = await runtime.reads(viewer.tenant).rows(select(Campaign.status))
    assert [row[0] for row in rows] == [CampaignStatus.DRAFT]


async def test_validation_returns_errors_warnings_and_the_audience(api: ApiClient, runtime: Runtime) -> None:
    """Warnings are sentences; contacts that would be skipped are counted."""
    owner = await factories.organization(runtime)
    mine = caller(api, runtime, owner)
    await factories.contacts(runtime, owner, 4)
    async with runtime.work.begin(owner) as uow:
        rows = await uow.rows(select(Contact.id, Contact.email_norm).order_by(Contact.id))
        await uow.execute(update(Contact).where(Contact.id == rows[0].id).values(status=ContactStatus.UNSUBSCRIBED))
        await uow.execute(update(Contact).where(Contact.id == rows[1].id).values(custom_fields={"city": "Ulm"}))
        await uow.execute(
            insert(Suppression).values(
                organization_id=owner.organization_id,
                email_norm=rows[2].email_norm,
                reason=SuppressionReason.HARD_BOUNCE,
            )
        )
    html = "<p>{{ contact.customFields.city }} {{ contact.customFields.plan }} {{ contact.frstName }}</p>"
    payload = await mutate(mine, CREATE, name="V", subject="S", htmlContent=html, audience={"all": True})
    validation = (await mine.execute(VALIDATE, {"id": payload["campaign"]["id"]}))["validateCampaign"]
    assert (validation["valid"], validation["errors"]) == (True, [])
    assert (validation["audience"], validation["skippedEstimate"]) == (4, 2)
    warnings = " ".join(validation["warnings"])
    assert "customFields.plan" in warnings
    assert "contact.frstName" in warnings
    assert "customFields.city" not in warnings


async def test_validation_warns_of_comparisons_that_would_fail(api: ApiClient, runtime: Runtime) -> None:
    """A field that is text for some contacts and is compared with a number is named: these get no message."""
    owner = await factories.organization(runtime)
    mine = caller(api, runtime, owner)
    fields: tuple[dict[str, object], ...] = ({"qty": 5, "age": 3}, {"qty": "5"}, {"age": None})
    for contact_id, values in zip(await factories.contacts(runtime, owner, 3), fields, strict=True):
        async with runtime.work.begin(owner) as uow:
            await uow.execute(update(Contact).where(Contact.id == contact_id).values(custom_fields=values))
    html = (
        "<p>{% if contact.customFields.qty > 3 %}a{% endif %}{% if 18 <= contact.customFields.age %}b{% endif %}</p>"
    )
    payload = await mutate(mine, CREATE, name="V", subject="S", htmlContent=html, audience={"all": True})
    validation = (await mine.execute(VALIDATE, {"id": payload["campaign"]["id"]}))["validateCampaign"]
    comparisons = [warning for warning in validation["warnings"] if "compared with a number" in warning]
    assert len(comparisons) == 1
    assert comparisons[0].startswith("contact.customFields.qty is a text for some contacts")
    assert "{% assign number = contact.customFields.qty | plus: 0 %}" in comparisons[0]


async def test_excluded_contacts_are_not_counted(api: ApiClient, runtime: Runtime) -> None:
    """Contacts with an excluded tag are not counted, all others are."""
    owner = await factories.organization(runtime)
    await factories.contacts(runtime, owner, 3, tag="in")
    await factories.contacts(runtime, owner, 2, tag="out")
    mine = caller(api, runtime, owner)
    payload = await mutate(mine, CREATE, name="E", audience={"all": True, "excludeTags": ["out"]})
    assert payload["campaign"]["audience"]["count"] == 3


async def test_an_empty_draft_is_not_valid(api: ApiClient, runtime: Runtime) -> None:
    """Validation has the same errors as sending."""
    mine = caller(api, runtime, await factories.organization(runtime))
    payload = await mutate(mine, CREATE, name="Empty")
    validation = (await mine.execute(VALIDATE, {"id": payload["campaign"]["id"]}))["validateCampaign"]
    assert validation["valid"] is False
    assert {error["code"] for error in validation["errors"]} == {"CAMPAIGN_NOT_SENDABLE"}
    reply = await mine.send(VALIDATE, {"id": gid(new_id())})
    assert reply.codes == ["NOT_FOUND"]
