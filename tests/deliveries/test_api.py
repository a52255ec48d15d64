"""Deliveries over HTTP: who did not get the message and why, and decisions about messages in doubt."""

from dataclasses import replace

import pytest
from sqlalchemy import select, text, update

from core.access.actor import user_actor
from core.access.permissions import Permission, Role
from core.access.rights import RIGHTS
from core.ids import encode_global_id, new_id
from core.listing.fields import compile_condition
from core.listing.filters import parse_filter
from integrations.mail import BatchProcessed, SubmissionResult, SubmissionStatus
from integrations.recording import RecordingMailer
from models.campaigns import Campaign
from models.contacts import Contact
from models.deliveries import DeliveryStatus, EmailDelivery
from runtime import Runtime
from services.deliveries.listing import DELIVERIES
from services.deliveries.sending import CampaignSender
from tests import factories
from tests.campaigns.calls import caller, gid
from tests.client import ApiClient
from tests.deliveries.calls import LISTED, STATES, list_deliveries
from tests.deliveries.model import ModelMailer
from tests.deliveries.worker import drain, finish, sending, start


async def test_the_status_reason_summarizes_issues(
    api: ApiClient, runtime: Runtime, scripted_sender: CampaignSender, mailer: ModelMailer
) -> None:
    """The status reason has counts and the provider's text; the deliveries have the reasons one by one."""
    owner, _, campaign_id = await sending(runtime, 3)
    mailer.outcome = "refused"
    await drain(scripted_sender, owner, campaign_id)
    mailer.outcome = "ok"
    await finish(runtime, scripted_sender, owner, campaign_id)
    campaign = await list_deliveries(caller(api, runtime, owner), campaign_id, "REJECTED", "FAILED", "SKIPPED")
    assert campaign["status"] == "SENT_WITH_ISSUES"
    assert campaign["statusReason"].startswith("1 message refused by the provider (most often: “")
    assert "`deliveries`" in campaign["statusReason"]
    assert "resolveDelivery" not in campaign["statusReason"]
    (one,) = campaign["deliveries"]["nodes"]
    row = (await runtime.reads(owner.tenant).rows(select(EmailDelivery).where(EmailDelivery.status == "rejected")))[0]
    assert (one["state"], one["reason"], one["providerCode"]) == ("REJECTED", row.error_message, row.error_code)
    assert one["reason"] in campaign["statusReason"]
    assert one["contact"]["email"] == one["email"] == row.email
    assert one["campaign"] == {"id": gid(campaign_id), "status": "SENT_WITH_ISSUES"}


@pytest.mark.parametrize(
    ("refusals", "quoted"),
    [
        ([(300, "Rare."), *[(301, "Common.")] * 3, (302, "Rare too."), (302, "Rare too.")], "“Common.”, code 301"),
        ([(301, "A."), (300, "B.")], "“B.”, code 300"),
        ([(300, "B."), (300, "A.")], "“A.”, code 300"),
        ([(0, "B."), (300, "A.")], "“B.”"),
        ([(300, ""), (301, "")], None),
    ],
)
async def test_the_summary_quotes_the_most_frequent_refusal(
    api: ApiClient,
    runtime: Runtime,
    scripted_sender: CampaignSender,
    refusals: list[tuple[int, str]],
    quoted: str | None,
) -> None:
    """Of equally frequent ones that with the lowest code, then the first by its text, if it has one."""
    results = [SubmissionResult(SubmissionStatus.REFUSED, None, code, words) for code, words in refusals]
    scripted_sender.mailer = RecordingMailer(lambda *_: BatchProcessed(results=results))
    owner, _, campaign_id = await sending(runtime, len(results))
    await finish(runtime, scripted_sender, owner, campaign_id)
    campaign = await list_deliveries(caller(api, runtime, owner), campaign_id)
    quotation = f" (most often: {quoted})" if quoted else ""
    begins = f"{len(results)} messages refused by the provider{quotation}. "
    assert campaign["statusReason"].startswith(begins)


async def test_a_rendering_error_has_a_reason(
    api: ApiClient, runtime: Runtime, scripted_sender: CampaignSender
) -> None:
    """A message that cannot be rendered is an issue, and its delivery has the error of the template."""
    owner = await factories.organization(runtime)
    await factories.contacts(runtime, owner, 1)
    campaign_id = await factories.campaign(runtime, owner)
    async with runtime.work.begin(owner) as uow:
        await uow.execute(
            update(Campaign)
            .where(Campaign.id == campaign_id)
            .values(html_content="<p>Hi{% if contact.email %} {{ 10 | divided_by: 0 }}{% endif %}</p>")
        )
    await start(runtime, owner, campaign_id)
    await finish(runtime, scripted_sender, owner, campaign_id)
    campaign = await list_deliveries(caller(api, runtime, owner), campaign_id, "SKIPPED")
    assert campaign["status"] == "SENT_WITH_ISSUES"
    assert campaign["statusReason"].startswith("1 message not rendered")
    (one,) = campaign["deliveries"]["nodes"]
    assert one["reason"].startswith("The message could not be rendered. ")
    assert "divided by 0" in one["reason"].replace("divide by 0", "divided by 0")


async def test_a_campaign_without_issues_has_no_status_reason(
    api: ApiClient, runtime: Runtime, scripted_sender: CampaignSender
) -> None:
    """Recipients skipped for lack of consent are not issues, but their deliveries have a reason."""
    owner, contacts, campaign_id = await sending(runtime, 3)
    async with runtime.work.begin(owner) as uow:
        await uow.execute(update(Contact).where(Contact.id == contacts[0]).values(status="unsubscribed"))
    await finish(runtime, scripted_sender, owner, campaign_id)
    campaign = await list_deliveries(caller(api, runtime, owner), campaign_id, "SKIPPED")
    assert (campaign["status"], campaign["statusReason"]) == ("SENT", None)
    assert [one["reason"] for one in campaign["deliveries"]["nodes"]] == ["The contact had unsubscribed."]


async def test_pages_have_every_delivery_once(
    api: ApiClient, runtime: Runtime, scripted_sender: CampaignSender
) -> None:
    """With and without a filter, the pages have all deliveries in the order of their ids."""
    owner, _, campaign_id = await sending(runtime, 7)
    await scripted_sender.send_batch(owner, campaign_id)
    mine = caller(api, runtime, owner)
    rows = await runtime.reads(owner.tenant).rows(select(EmailDelivery.id).order_by(EmailDelivery.id))
    expected = [encode_global_id("Delivery", row.id) for row in rows]
    for states in ((), tuple(STATES), ("ACCEPTED", "PENDING", "CLAIMED", "REJECTED")):
        ids: list[str] = []
        after = None
        while True:
            page = (await list_deliveries(mine, campaign_id, *states, first=3, after=after))["deliveries"]
            assert page["totalCount"] == len(expected)
            ids += [one["id"] for one in page["nodes"]]
            after = page["pageInfo"]["endCursor"]
            if not page["pageInfo"]["hasNextPage"]:
                break
        assert ids == expected
    assert (await list_deliveries(mine, campaign_id, "BOUNCED"))["deliveries"]["nodes"] == []
    nothing = await mine.execute(LISTED, {"id": gid(campaign_id), "filter": {"state": {"in": []}}})
    assert nothing["campaign"]["deliveries"]["totalCount"] == 0
    both = {"state": {"eq": "ACCEPTED", "in": ["PENDING"]}}
    assert (await mine.execute(LISTED, {"id": gid(campaign_id), "filter": both}))["campaign"]["deliveries"][
        "totalCount"
    ] == 0


@pytest.mark.parametrize("state", STATES)
async def test_a_filter_by_state_finds_exactly_its_deliveries(api: ApiClient, runtime: Runtime, state: str) -> None:
    """The result is the same with any of the indexes."""
    owner, contacts, campaign_id = await sending(runtime, len(STATES))
    async with runtime.work.begin(owner) as uow:
        for contact_id, name in zip(contacts, STATES, strict=True):
            await uow.execute(
                update(EmailDelivery)
                .where(EmailDelivery.contact_id == contact_id)
                .values(status=DeliveryStatus[name])
            )
    connection = (await list_deliveries(caller(api, runtime, owner), campaign_id, state))["deliveries"]
    assert [one["state"] for one in connection["nodes"]] == [state]
    assert connection["totalCount"] == 1


async def test_deliveries_require_contact_read(
    api: ApiClient, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They have addresses, so a role without `contact:read` sees the campaign, but not its deliveries."""
    owner, _, campaign_id = await sending(runtime, 1)
    mine = caller(api, runtime, owner)
    (one,) = (await list_deliveries(mine, campaign_id))["deliveries"]["nodes"]
    editor = user_actor(owner.organization_id, new_id(), Role.EDITOR)
    await factories.member(runtime, editor)
    usual = RIGHTS[Role.EDITOR]
    fewer = replace(usual, permissions=usual.permissions - {Permission.CONTACT_READ})
    monkeypatch.setitem(RIGHTS, Role.EDITOR, fewer)
    mine = caller(api, runtime, editor)
    reply = await mine.send(LISTED, {"id": gid(campaign_id)})
    assert reply.codes == ["FORBIDDEN"]
    node = await mine.execute("query ($id: ID!) { node(id: $id) { id } }", {"id": one["id"]})
    assert node["node"] is None


@pytest.mark.parametrize(
    ("statuses", "index"),
    [
        ({DeliveryStatus.REJECTED, DeliveryStatus.FAILED}, "ix_email_deliveries_exceptional"),
        ({DeliveryStatus.UNKNOWN}, "ix_email_deliveries_open"),
    ],
)
async def test_filters_by_state_use_the_partial_index(
    runtime: Runtime, statuses: set[DeliveryStatus], index: str
) -> None:
    """The condition is written as in the catalogue: PostgreSQL uses a partial index only then."""
    condition_of_states = parse_filter({"state": {"in": list(statuses)}}, DELIVERIES.fields)
    compiled = str(compile_condition(condition_of_states, DELIVERIES.fields))
    async with runtime.engine.connect() as connection:
        condition = await connection.scalar(
            text("SELECT pg_get_expr(indpred, indrelid) FROM pg_index WHERE indexrelid = cast(:index AS regclass)"),
            {"index": index},
        )
    assert f"email_deliveries.{condition}" in compiled
