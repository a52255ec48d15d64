"""Deliveries over HTTP: who did not get the message and why, and what a person decides about those in doubt."""

import asyncio
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, text, update

from core.access.actor import Actor, user_actor
from core.access.permissions import Permission, Role
from core.access.rights import RIGHTS
from core.ids import encode_global_id, new_id
from models.audit import AuditEvent
from models.campaigns import Campaign, CampaignStats, CampaignStatus, OnDoubt
from models.contacts import Contact
from models.deliveries import DeliveryResolution, DeliveryStatus, EmailDelivery
from runtime import Runtime
from services.deliveries import listing
from services.deliveries.resolving import resolve
from services.deliveries.sending import Sender
from services.deliveries.sweeping import advance_campaign
from tests import factories
from tests.campaigns.calls import ERRORS, asked, caller, gid
from tests.client import ApiClient
from tests.inbox import apply_inbox, deliver
from tests.sending.model import ModelMailer
from tests.sending.worker import drain, finish, go, progress, sending, start
from tests.waiting import until

LISTED = """query ($id: ID!, $filter: DeliveryFilter, $first: Int, $after: String) { campaign(id: $id) {
    status statusReason deliveries(filter: $filter, first: $first, after: $after) { totalCount
    pageInfo { hasNextPage endCursor } nodes { id email state reason providerCode attempts contact { email }
    campaign { id status } } } } }"""
RESOLVE = (
    "mutation ($input: ResolveDeliveryInput!) { resolveDelivery(input: $input) { delivery { id state reason }"
    " campaign { id status statusReason sentAt } " + ERRORS + " } }"
)
STATES = [status.name for status in DeliveryStatus]


@pytest.fixture
def mailer() -> ModelMailer:
    return ModelMailer()


@pytest.fixture
def sender(runtime: Runtime, mailer: ModelMailer) -> Sender:
    return Sender(
        settings=runtime.settings.sending,
        public_url=runtime.settings.public_url,
        work=runtime.work,
        system=runtime.system,
        reads=runtime.reads,
        mailer=mailer,
        signer=runtime.unsubscribe_signer,
    )


async def held(runtime: Runtime, sender: Sender, mailer: ModelMailer, people: int) -> tuple[Actor, UUID]:
    """A campaign with onDoubt HOLD that ended with every message in doubt."""
    principal, _, campaign_id = await sending(runtime, people)
    async with runtime.work.begin(principal) as uow:
        await uow.execute(update(Campaign).where(Campaign.id == campaign_id).values(on_doubt=OnDoubt.HOLD))
    mailer.outcome = "failed before"
    now = await finish(runtime, sender, principal, campaign_id)
    assert (now.status, now.counts.failed) == (CampaignStatus.SENT_WITH_ISSUES, people)
    mailer.outcome = "ok"
    return principal, campaign_id


async def listed(mine: ApiClient, campaign_id: UUID, *states: str, **more: object) -> dict[str, Any]:
    """The campaign with its deliveries in some states."""
    wanted = {"filter": {"state": {"in": list(states)}}} if states else {}
    found: dict[str, Any] = (await mine.execute(LISTED, {"id": gid(campaign_id), **wanted, **more}))["campaign"]
    return found


async def resolved(mine: ApiClient, delivery: str, decision: str) -> dict[str, Any]:
    """The payload of a decision that must be taken."""
    return await asked(mine, RESOLVE, deliveryId=delivery, **{"as": decision})


async def not_resolved(mine: ApiClient, delivery: str, decision: str) -> dict[str, Any]:
    """The refusal of a decision that must not be taken."""
    data = await mine.execute(RESOLVE, {"input": {"deliveryId": delivery, "as": decision}})
    payload = data["resolveDelivery"]
    assert (payload["delivery"], payload["campaign"]) == (None, None)
    (error,) = payload["userErrors"]
    found: dict[str, Any] = error
    return found


async def test_a_campaign_with_issues_says_which(
    api: ApiClient, runtime: Runtime, sender: Sender, mailer: ModelMailer
) -> None:
    """The status has a reason with figures and the provider's words; the deliveries have them one by one."""
    owner, _, campaign_id = await sending(runtime, 3)
    mailer.outcome = "refused"
    await drain(sender, owner, campaign_id)
    mailer.outcome = "ok"
    await finish(runtime, sender, owner, campaign_id)
    found = await listed(caller(api, runtime, owner), campaign_id, "REJECTED", "FAILED", "SKIPPED")
    assert found["status"] == "SENT_WITH_ISSUES"
    assert found["statusReason"].startswith("1 message refused by the provider (for the most part: “")
    assert "`deliveries`" in found["statusReason"]
    assert "resolveDelivery" not in found["statusReason"]
    (one,) = found["deliveries"]["nodes"]
    row = (await runtime.reads(owner.tenant).rows(select(EmailDelivery).where(EmailDelivery.status == "rejected")))[0]
    assert (one["state"], one["reason"], one["providerCode"]) == ("REJECTED", row.error_message, row.error_code)
    assert one["reason"] in found["statusReason"]
    assert one["contact"]["email"] == one["email"] == row.email
    assert one["campaign"] == {"id": gid(campaign_id), "status": "SENT_WITH_ISSUES"}


async def test_a_template_that_fails_for_a_contact_says_why(api: ApiClient, runtime: Runtime, sender: Sender) -> None:
    """A message that cannot be rendered is an issue, and its delivery tells what the template could not do."""
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
    await finish(runtime, sender, owner, campaign_id)
    found = await listed(caller(api, runtime, owner), campaign_id, "SKIPPED")
    assert found["status"] == "SENT_WITH_ISSUES"
    assert found["statusReason"].startswith("1 message not rendered")
    (one,) = found["deliveries"]["nodes"]
    assert one["reason"].startswith("The message could not be rendered. ")
    assert "divided by 0" in one["reason"].replace("divide by 0", "divided by 0")


async def test_a_campaign_without_issues_needs_no_reason(api: ApiClient, runtime: Runtime, sender: Sender) -> None:
    """Recipients who were skipped for their consent are no issue; their deliveries say why all the same."""
    owner, contacts, campaign_id = await sending(runtime, 3)
    async with runtime.work.begin(owner) as uow:
        await uow.execute(update(Contact).where(Contact.id == contacts[0]).values(status="unsubscribed"))
    await finish(runtime, sender, owner, campaign_id)
    found = await listed(caller(api, runtime, owner), campaign_id, "SKIPPED")
    assert (found["status"], found["statusReason"]) == ("SENT", None)
    assert [one["reason"] for one in found["deliveries"]["nodes"]] == ["The contact had unsubscribed."]


async def test_pages_hold_every_delivery_once(api: ApiClient, runtime: Runtime, sender: Sender) -> None:
    """Page by page, with and without a filter, the deliveries are the ledger's rows in the order of their ids."""
    owner, _, campaign_id = await sending(runtime, 7)
    await sender.send_batch(owner, campaign_id)
    mine = caller(api, runtime, owner)
    rows = await runtime.reads(owner.tenant).rows(select(EmailDelivery.id).order_by(EmailDelivery.id))
    wanted = [encode_global_id("Delivery", row.id) for row in rows]
    for states in ((), tuple(STATES), ("ACCEPTED", "PENDING", "CLAIMED", "REJECTED")):
        seen: list[str] = []
        after = None
        while True:
            page = (await listed(mine, campaign_id, *states, first=3, after=after))["deliveries"]
            assert page["totalCount"] == len(wanted)
            seen += [one["id"] for one in page["nodes"]]
            after = page["pageInfo"]["endCursor"]
            if not page["pageInfo"]["hasNextPage"]:
                break
        assert seen == wanted
    assert (await listed(mine, campaign_id, "BOUNCED"))["deliveries"]["nodes"] == []
    nothing = await mine.execute(LISTED, {"id": gid(campaign_id), "filter": {"state": {"in": []}}})
    assert nothing["campaign"]["deliveries"]["totalCount"] == 0
    both = {"state": {"eq": "ACCEPTED", "in": ["PENDING"]}}
    assert (await mine.execute(LISTED, {"id": gid(campaign_id), "filter": both}))["campaign"]["deliveries"][
        "totalCount"
    ] == 0


@pytest.mark.parametrize("state", STATES)
async def test_each_state_is_found_and_nothing_else(api: ApiClient, runtime: Runtime, state: str) -> None:
    """A filter of one state finds exactly the rows of that status, by whichever index."""
    owner, contacts, campaign_id = await sending(runtime, len(STATES))
    async with runtime.work.begin(owner) as uow:
        for contact_id, name in zip(contacts, STATES, strict=True):
            await uow.execute(
                update(EmailDelivery)
                .where(EmailDelivery.contact_id == contact_id)
                .values(status=DeliveryStatus[name])
            )
    found = (await listed(caller(api, runtime, owner), campaign_id, state))["deliveries"]
    assert [one["state"] for one in found["nodes"]] == [state]
    assert found["totalCount"] == 1


async def test_sent_makes_it_accepted(api: ApiClient, runtime: Runtime, sender: Sender, mailer: ModelMailer) -> None:
    """A decision counts at once; with the last issue resolved the campaign is SENT, and nothing went out."""
    owner, campaign_id = await held(runtime, sender, mailer, 2)
    mine = caller(api, runtime, owner)
    found = await listed(mine, campaign_id, "FAILED")
    assert "2 messages not known to have been sent" in found["statusReason"]
    assert "resolveDelivery" in found["statusReason"]
    first, second = (one["id"] for one in found["deliveries"]["nodes"])
    payload = await resolved(mine, first, "SENT")
    assert (payload["delivery"]["state"], payload["delivery"]["reason"]) == ("ACCEPTED", None)
    assert payload["campaign"]["status"] == "SENT_WITH_ISSUES"
    assert payload["campaign"]["statusReason"].startswith("1 message not known")
    sent_at = payload["campaign"]["sentAt"]
    payload = await resolved(mine, second, "SENT")
    assert payload["campaign"]["status"] == "SENT"
    assert payload["campaign"]["statusReason"] is None
    assert payload["campaign"]["sentAt"] == sent_at
    counts = (await progress(runtime, owner, campaign_id)).counts
    assert (counts.accepted, counts.failed) == (2, 0)
    assert mailer.ledger == []


async def test_not_sent_stays_an_issue(api: ApiClient, runtime: Runtime, sender: Sender, mailer: ModelMailer) -> None:
    """The delivery stays FAILED and says who decided; it can still be sent again."""
    owner, campaign_id = await held(runtime, sender, mailer, 1)
    mine = caller(api, runtime, owner)
    (one,) = (await listed(mine, campaign_id))["deliveries"]["nodes"]
    payload = await resolved(mine, one["id"], "NOT_SENT")
    assert payload["delivery"]["state"] == "FAILED"
    assert payload["delivery"]["reason"] == "A person decided that it was not sent."
    assert payload["campaign"]["status"] == "SENT_WITH_ISSUES"
    payload = await resolved(mine, one["id"], "SEND_AGAIN")
    assert payload["delivery"]["state"] == "PENDING"


async def test_send_again_goes_out_in_a_new_batch(
    api: ApiClient, runtime: Runtime, sender: Sender, mailer: ModelMailer
) -> None:
    """The campaign is SENDING again, the one message goes out once, under another batch, and the campaign is SENT."""
    owner, campaign_id = await held(runtime, sender, mailer, 2)
    mine = caller(api, runtime, owner)
    rows = await runtime.reads(owner.tenant).rows(select(EmailDelivery.id, EmailDelivery.batch_id))
    before = {encode_global_id("Delivery", row.id): row.batch_id for row in rows}
    first, second = sorted(before)
    payload = await resolved(mine, first, "SEND_AGAIN")
    assert (payload["campaign"]["status"], payload["campaign"]["sentAt"]) == ("SENDING", None)
    waiting = await runtime.reads(owner.tenant).rows(
        select(EmailDelivery.batch_id, EmailDelivery.submitted_at).where(EmailDelivery.status == "pending")
    )
    assert [tuple(row) for row in waiting] == [(None, None)]
    now = await finish(runtime, sender, owner, campaign_id)
    assert now.status is CampaignStatus.SENT_WITH_ISSUES
    (message,) = mailer.ledger
    assert encode_global_id("Delivery", UUID(message.delivery_id)) == first
    assert UUID(message.batch_id) != before[first]
    await resolved(mine, second, "SEND_AGAIN")
    assert (await finish(runtime, sender, owner, campaign_id)).status is CampaignStatus.SENT
    assert len(mailer.ledger) == 2


async def test_a_message_still_being_asked_about_can_be_resolved(
    api: ApiClient, runtime: Runtime, sender: Sender, mailer: ModelMailer
) -> None:
    """UNKNOWN deliveries of a campaign that is SENDING: SENT settles, NOT_SENT fails, SEND_AGAIN is pending."""
    owner, _, campaign_id = await sending(runtime, 3)
    mailer.outcome = "failed before"
    await drain(sender, owner, campaign_id)
    mine = caller(api, runtime, owner)
    found = (await listed(mine, campaign_id, "UNKNOWN"))["deliveries"]["nodes"]
    for one, decision in zip(found, ("SENT", "NOT_SENT", "SEND_AGAIN"), strict=True):
        assert (await resolved(mine, one["id"], decision))["campaign"]["status"] == "SENDING"
    counts = (await progress(runtime, owner, campaign_id)).counts
    assert (counts.accepted, counts.failed, counts.pending, counts.unknown) == (1, 1, 1, 0)
    mailer.outcome = "ok"
    now = await finish(runtime, sender, owner, campaign_id)
    assert now.status is CampaignStatus.SENT_WITH_ISSUES
    assert len(mailer.ledger) == 1


async def test_only_what_is_in_doubt_can_be_resolved(
    api: ApiClient, runtime: Runtime, sender: Sender, mailer: ModelMailer
) -> None:
    """A delivery that was settled meanwhile is left as it is, and the refusal says where it stands."""
    owner, _, campaign_id = await sending(runtime, 1)
    mine = caller(api, runtime, owner)
    (pending,) = (await listed(mine, campaign_id))["deliveries"]["nodes"]
    error = await not_resolved(mine, pending["id"], "NOT_SENT")
    assert (error["code"], error["field"]) == ("INVALID_STATE", ["input", "deliveryId"])
    assert "pending" in error["message"]
    assert "UNKNOWN or FAILED" in error["suggestion"]
    await finish(runtime, sender, owner, campaign_id)
    assert (await not_resolved(mine, pending["id"], "SEND_AGAIN"))["code"] == "INVALID_STATE"
    assert len(mailer.ledger) == 1
    nobody = encode_global_id("Delivery", new_id())
    assert (await not_resolved(mine, nobody, "SENT"))["code"] == "NOT_FOUND"
    assert (await not_resolved(mine, gid(campaign_id), "SENT"))["code"] == "NOT_FOUND"


async def test_nothing_more_is_sent_of_a_cancelled_campaign(
    api: ApiClient, runtime: Runtime, sender: Sender, mailer: ModelMailer
) -> None:
    """SEND_AGAIN is refused with what to do instead; SENT and NOT_SENT are still possible."""
    owner, _, campaign_id = await sending(runtime, 2)
    mailer.outcome = "failed before"
    await drain(sender, owner, campaign_id)
    await go(runtime, owner, campaign_id, CampaignStatus.CANCELLING)
    mine = caller(api, runtime, owner)
    one, other = (await listed(mine, campaign_id, "UNKNOWN"))["deliveries"]["nodes"]
    error = await not_resolved(mine, one["id"], "SEND_AGAIN")
    assert (error["code"], error["field"]) == ("INVALID_STATE", ["input", "as"])
    assert "duplicateCampaign" in error["suggestion"]
    assert (await resolved(mine, one["id"], "NOT_SENT"))["campaign"]["status"] == "CANCELLING"
    await resolved(mine, other["id"], "SENT")
    await advance_campaign(runtime.work, owner, campaign_id)
    assert (await progress(runtime, owner, campaign_id)).status is CampaignStatus.CANCELLED
    assert (await not_resolved(mine, one["id"], "SEND_AGAIN"))["code"] == "INVALID_STATE"


async def test_a_resumed_campaign_is_not_one_that_ended(
    api: ApiClient, runtime: Runtime, sender: Sender, mailer: ModelMailer
) -> None:
    """`resumeCampaign` is for paused campaigns; one that ended with issues goes on by `resolveDelivery` alone."""
    owner, campaign_id = await held(runtime, sender, mailer, 1)
    resume = f"mutation ($input: ResumeCampaignInput!) {{ resumeCampaign(input: $input) {{ {ERRORS} }} }}"
    data = await caller(api, runtime, owner).execute(resume, {"input": {"campaignId": gid(campaign_id)}})
    assert data["resumeCampaign"]["userErrors"][0]["code"] == "INVALID_STATE"


async def test_a_decision_is_audited(api: ApiClient, runtime: Runtime, sender: Sender, mailer: ModelMailer) -> None:
    """Who decided what about which delivery, and what it was before."""
    owner, campaign_id = await held(runtime, sender, mailer, 1)
    mine = caller(api, runtime, owner)
    (one,) = (await listed(mine, campaign_id))["deliveries"]["nodes"]
    await resolved(mine, one["id"], "SEND_AGAIN")
    await not_resolved(mine, one["id"], "SENT")
    rows = await runtime.reads(owner.tenant).rows(
        select(AuditEvent.user_id, AuditEvent.target_id, AuditEvent.changes).where(
            AuditEvent.action == "delivery.resolved"
        )
    )
    (row,) = rows
    assert row.user_id == owner.user_id
    assert encode_global_id("Delivery", row.target_id) == one["id"]
    assert row.changes == {"campaign": str(campaign_id), "from": "failed", "as": "send_again"}


async def test_who_may_not_send_may_not_resolve(
    api: ApiClient, runtime: Runtime, sender: Sender, mailer: ModelMailer
) -> None:
    """A viewer reads the deliveries, and is refused the decision."""
    owner, campaign_id = await held(runtime, sender, mailer, 1)
    viewer = user_actor(owner.organization_id, new_id(), Role.VIEWER)
    await factories.member(runtime, viewer)
    mine = caller(api, runtime, viewer)
    (one,) = (await listed(mine, campaign_id))["deliveries"]["nodes"]
    reply = await mine.send(RESOLVE, {"input": {"deliveryId": one["id"], "as": "SENT"}})
    assert reply.codes == ["FORBIDDEN"]
    assert (await listed(mine, campaign_id))["deliveries"]["nodes"][0]["state"] == "FAILED"


async def test_two_decisions_at_once_are_one(
    api: ApiClient, runtime: Runtime, sender: Sender, mailer: ModelMailer
) -> None:
    """Of many people who want it sent again one wins, and one message goes out."""
    owner, campaign_id = await held(runtime, sender, mailer, 1)
    mine = caller(api, runtime, owner)
    (one,) = (await listed(mine, campaign_id))["deliveries"]["nodes"]
    given = {"input": {"deliveryId": one["id"], "as": "SEND_AGAIN"}}
    answers = await asyncio.gather(*(mine.execute(RESOLVE, given) for _ in range(6)))
    won = [answer for answer in answers if not answer["resolveDelivery"]["userErrors"]]
    assert len(won) == 1
    await finish(runtime, sender, owner, campaign_id)
    assert len(mailer.ledger) == 1


async def test_a_decision_and_the_end_of_a_campaign_exclude_each_other(
    api: ApiClient, runtime: Runtime, sender: Sender, mailer: ModelMailer
) -> None:
    """While somebody sends a message again the sweeper cannot end the campaign over it: nothing pending is left."""
    owner, campaign_id = await held(runtime, sender, mailer, 1)
    mine = caller(api, runtime, owner)
    (one,) = (await listed(mine, campaign_id))["deliveries"]["nodes"]
    for _ in range(10):
        await asyncio.gather(
            mine.execute(RESOLVE, {"input": {"deliveryId": one["id"], "as": "SEND_AGAIN"}}),
            *(advance_campaign(runtime.work, owner, campaign_id) for _ in range(3)),
        )
        now = await progress(runtime, owner, campaign_id)
        assert now.status is CampaignStatus.SENDING or not now.counts.pending
        mailer.outcome = "failed before"
        await finish(runtime, sender, owner, campaign_id)


async def test_a_campaign_does_not_end_over_a_decision_that_is_being_taken(
    runtime: Runtime, sender: Sender, mailer: ModelMailer
) -> None:
    """The sweeper waits for a decision that is not yet committed, and then sees what it has made pending."""
    owner, _, campaign_id = await sending(runtime, 1)
    async with runtime.work.begin(owner) as uow:
        await uow.execute(update(EmailDelivery).values(status=DeliveryStatus.FAILED))
    delivery_id = (await runtime.reads(owner.tenant).rows(select(EmailDelivery.id)))[0].id
    async with runtime.work.begin(owner) as uow:
        await resolve(uow, delivery_id, DeliveryResolution.SEND_AGAIN, policy=runtime.sender_policy)
        ending = asyncio.create_task(advance_campaign(runtime.work, owner, campaign_id))
        await until(partial(waits_for_a_lock, runtime))
    await ending
    now = await progress(runtime, owner, campaign_id)
    assert (now.status, now.counts.pending) == (CampaignStatus.SENDING, 1)
    await finish(runtime, sender, owner, campaign_id)
    assert len(mailer.ledger) == 1


async def waits_for_a_lock(runtime: Runtime) -> bool:
    """Whether a session of this database waits for another's lock."""
    async with runtime.engine.connect() as connection:
        found = await connection.scalar(
            text(
                "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() "
                "AND wait_event_type = 'Lock')"
            )
        )
    return bool(found)


async def test_deliveries_are_for_those_who_may_read_contacts(
    api: ApiClient, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They hold addresses, so a role without `contact:read` is refused them, and sees the campaign all the same."""
    owner, _, campaign_id = await sending(runtime, 1)
    mine = caller(api, runtime, owner)
    (one,) = (await listed(mine, campaign_id))["deliveries"]["nodes"]
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


async def test_a_late_report_of_a_message_sent_again_keeps_it_from_going_out_twice(
    api: ApiClient, runtime: Runtime, sender: Sender, mailer: ModelMailer
) -> None:
    """A webhook about the first message, come before the second went out, settles the delivery."""
    owner, campaign_id = await held(runtime, sender, mailer, 1)
    mine = caller(api, runtime, owner)
    (one,) = (await listed(mine, campaign_id))["deliveries"]["nodes"]
    await resolved(mine, one["id"], "SEND_AGAIN")
    delivery = (await runtime.reads(owner.tenant).rows(select(EmailDelivery.id)))[0].id
    await deliver(
        runtime,
        {
            "RecordType": "Delivery",
            "MessageID": str(new_id()),
            "Recipient": one["email"],
            "Metadata": {"campaign": str(campaign_id), "delivery": str(delivery)},
        },
    )
    await apply_inbox(runtime)
    now = await finish(runtime, sender, owner, campaign_id)
    assert (now.status, now.counts.delivered) == (CampaignStatus.SENT, 1)
    assert mailer.ledger == []


async def test_counters_follow_a_decision(
    api: ApiClient, runtime: Runtime, sender: Sender, mailer: ModelMailer
) -> None:
    """Each decision raises the sequence, so that dashboards see it."""
    owner, campaign_id = await held(runtime, sender, mailer, 1)
    mine = caller(api, runtime, owner)
    (one,) = (await listed(mine, campaign_id))["deliveries"]["nodes"]
    before = (await runtime.reads(owner.tenant).rows(select(CampaignStats.sequence)))[0].sequence
    await resolved(mine, one["id"], "SENT")
    after = (await runtime.reads(owner.tenant).rows(select(CampaignStats.sequence)))[0].sequence
    assert after > before


@pytest.mark.parametrize(
    ("statuses", "index"),
    [
        ({DeliveryStatus.REJECTED, DeliveryStatus.FAILED}, "ix_email_deliveries_exceptional"),
        ({DeliveryStatus.UNKNOWN}, "ix_email_deliveries_open"),
    ],
)
async def test_a_few_among_a_million_are_found_by_a_partial_index(
    runtime: Runtime, statuses: set[DeliveryStatus], index: str
) -> None:
    """The filter holds the index's condition as the catalogue has it: PostgreSQL uses a partial index only then."""
    owner = await factories.organization(runtime)
    wanted = listing.DeliveryFilter(statuses=frozenset(statuses))
    parts = [str(part) for part in listing.matching(runtime.reads(owner.tenant), new_id(), wanted)]
    async with runtime.engine.connect() as connection:
        condition = await connection.scalar(
            text("SELECT pg_get_expr(indpred, indrelid) FROM pg_index WHERE indexrelid = cast(:index AS regclass)"),
            {"index": index},
        )
    assert f"email_deliveries.{condition}" in parts
