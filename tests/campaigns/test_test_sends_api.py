"""`sendTestEmail`: which messages are submitted to the provider."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from uuid import UUID

import pytest
from sqlalchemy import func, insert, select, update
from sqlalchemy.pool import AsyncAdaptedQueuePool

from core.access.actor import Actor
from core.ids import encode_global_id
from core.listing.pages import page_request
from integrations.mail import (
    BatchHeader,
    BatchProcessed,
    InDoubt,
    Message,
    NotSent,
    Outcome,
    SubmissionResult,
    SubmissionStatus,
)
from integrations.recording import RecordingMailer
from models.audit import AuditEvent
from models.contacts import Contact
from models.deliveries import EmailDelivery
from models.suppressions import Suppression, SuppressionReason
from runtime import Runtime
from services.campaigns import test_sends
from services.contacts import changing
from services.contacts.history import EVENTS
from services.contacts.listing import CONTACTS
from services.messages import previews
from tests import factories
from tests.campaigns.calls import TEST, caller, gid, mutate, mutation_payload, user_errors
from tests.client import ApiClient
from tests.deliveries.conftest import run_provider
from tests.serving import served


@pytest.fixture
def mailer() -> RecordingMailer:
    return RecordingMailer()


@pytest.fixture
async def mailing_api(runtime: Runtime, mailer: RecordingMailer) -> AsyncIterator[ApiClient]:
    """The API with a mailer that records messages."""
    async with served(replace(runtime, mailer=mailer)) as server:
        yield ApiClient(server.url)


async def draft(runtime: Runtime) -> tuple[Actor, UUID]:
    """An owner and their draft."""
    owner = await factories.organization(runtime)
    return owner, await factories.campaign(runtime, owner)


async def test_a_test_looks_like_the_campaign_and_has_no_delivery(
    mailing_api: ApiClient, runtime: Runtime, mailer: RecordingMailer
) -> None:
    """The message is rendered, marked in its subject, and has no delivery; the audit log has it."""
    owner, campaign_id = await draft(runtime)
    payload = await mutate(
        caller(mailing_api, runtime, owner),
        TEST,
        campaignId=gid(campaign_id),
        to=["One@Example.com", "two@example.com", "one@example.com"],
    )
    assert payload["campaign"]["id"] == gid(campaign_id)
    assert len(payload["sentTo"]) == 2
    header, message, _ = mailer.sent[0]
    assert header.sender == runtime.settings.postmark.sender
    assert message.subject == "[Test] Hello Ada"
    assert "<p>Hello Ada</p>" in message.html
    assert {sent.to for _, sent, _ in mailer.sent} == set(payload["sentTo"])
    reads = runtime.reads(owner.tenant)
    assert (await reads.rows(select(func.count()).select_from(EmailDelivery)))[0][0] == 0
    assert [row[0] for row in await reads.rows(select(AuditEvent.action))] == ["campaign.tested"]


async def test_a_test_shows_the_given_contact(
    mailing_api: ApiClient, runtime: Runtime, mailer: RecordingMailer
) -> None:
    """The contact's fields are rendered; an unknown contact is refused."""
    owner, campaign_id = await draft(runtime)
    mine = caller(mailing_api, runtime, owner)
    contact_id = encode_global_id("Contact", (await factories.contacts(runtime, owner, 1))[0])
    async with runtime.work.begin(owner) as uow:
        await uow.execute(update(Contact).values(first_name="Grace"))
    await mutate(mine, TEST, campaignId=gid(campaign_id), to=["a@example.com"], contactId=contact_id)
    assert mailer.sent[0][1].subject == "[Test] Hello Grace"
    errors = await user_errors(mine, TEST, campaignId=gid(campaign_id), to=["a@example.com"], contactId="x")
    assert (errors[0]["code"], errors[0]["field"]) == ("NOT_FOUND", ["input", "contactId"])


@pytest.mark.parametrize(
    ("to", "expected"),
    [
        ([], ("REQUIRED", ["input", "to"])),
        (["a@example.com"] * 11, ("TOO_MANY", ["input", "to"])),
        (["a@example.com", "nonsense"], ("INVALID_EMAIL", ["input", "to", "1"])),
        (["Gone@example.com"], ("INVALID", ["input", "to"])),
    ],
)
async def test_invalid_addresses_are_refused(
    mailing_api: ApiClient, runtime: Runtime, mailer: RecordingMailer, to: list[str], expected: tuple[str, list[str]]
) -> None:
    """None, too many, invalid and suppressed addresses are refused before anything is sent."""
    owner, campaign_id = await draft(runtime)
    async with runtime.work.begin(owner) as uow:
        await uow.execute(
            insert(Suppression).values(
                organization_id=owner.organization_id,
                email_norm="gone@example.com",
                reason=SuppressionReason.COMPLAINT,
            )
        )
    errors = await user_errors(caller(mailing_api, runtime, owner), TEST, campaignId=gid(campaign_id), to=to)
    assert [(error["code"], error["field"]) for error in errors] == [expected]
    assert mailer.sent == []


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (NotSent(reason="Postmark cannot be reached"), "Postmark cannot be reached"),
        (InDoubt(reason="The response was lost"), "The response was lost"),
        (
            BatchProcessed(results=[SubmissionResult(SubmissionStatus.REFUSED, None, 300, "Bad address")]),
            "Bad address",
        ),
    ],
)
async def test_the_providers_reason_is_in_the_error(
    mailing_api: ApiClient, runtime: Runtime, mailer: RecordingMailer, outcome: Outcome, words: str
) -> None:
    """If the outcome is unknown, the error reports that the message may have been sent."""

    def answer(_: BatchHeader, __: Sequence[Message]) -> Outcome:
        return outcome

    mailer.answer = answer
    owner, campaign_id = await draft(runtime)
    payload = await mutation_payload(
        caller(mailing_api, runtime, owner), TEST, campaignId=gid(campaign_id), to=["a@example.com"]
    )
    (error,) = payload["userErrors"]
    assert error["code"] == "PROVIDER_REFUSED"
    assert words in error["message"]
    assert payload["sentTo"] == []


@pytest.mark.parametrize("accepted", [0, 1])
async def test_a_test_that_may_have_been_sent_is_recorded(
    mailing_api: ApiClient, runtime: Runtime, mailer: RecordingMailer, accepted: int
) -> None:
    """The audit log has how many messages may have been delivered without a response."""
    mailer.limits = replace(mailer.limits, max_messages=1)
    outcomes: list[Outcome] = [
        *[BatchProcessed(results=[SubmissionResult(SubmissionStatus.ACCEPTED, "1")])] * accepted,
        InDoubt(reason="The response was lost"),
    ]
    mailer.answer = lambda _, __: outcomes.pop(0)
    owner, campaign_id = await draft(runtime)
    to = ["a@example.com", "b@example.com"]
    payload = await mutation_payload(caller(mailing_api, runtime, owner), TEST, campaignId=gid(campaign_id), to=to)
    assert payload["sentTo"] == to[:accepted]
    [event] = await runtime.reads(owner.tenant).rows(select(AuditEvent.action, AuditEvent.changes))
    assert tuple(event) == ("campaign.tested", {"recipients": accepted, "unknown": 2 - accepted})


async def test_a_test_to_an_inactive_address_marks_its_contact(
    mailing_api: ApiClient, runtime: Runtime, mailer: RecordingMailer
) -> None:
    """Code 406 means the same for a test as for a campaign's message: the provider no longer mails the address."""
    words = "You tried to send to a recipient that has been marked as inactive."

    def answer(_: BatchHeader, __: Sequence[Message]) -> Outcome:
        return BatchProcessed(results=[SubmissionResult(SubmissionStatus.INACTIVE, None, 406, words)])

    mailer.answer = answer
    owner, campaign_id = await draft(runtime)
    async with runtime.work.begin(owner) as uow:
        contact = await changing.create(uow, {"email": "Ada@example.com"})
    await user_errors(caller(mailing_api, runtime, owner), TEST, campaignId=gid(campaign_id), to=["ada@example.com"])
    reads = runtime.reads(owner.tenant)
    row = await CONTACTS.get(reads, contact.id)
    assert row is not None
    assert row.status == "bounced"
    line = (await EVENTS.pages_of(reads, [contact.id], page_request()))[contact.id].rows[0]
    assert (line.kind, line.data) == ("rejected", {"code": 406, "message": words})


async def test_no_transaction_is_open_during_the_providers_request(
    mailing_api: ApiClient, runtime: Runtime, mailer: RecordingMailer
) -> None:
    """A slow provider blocks no connection and holds no lock."""
    open_then: list[int] = []

    def answer(_: BatchHeader, messages: Sequence[Message]) -> Outcome:
        pool = runtime.engine.pool
        assert isinstance(pool, AsyncAdaptedQueuePool)
        open_then.append(pool.checkedout())
        return BatchProcessed(
            results=[SubmissionResult(SubmissionStatus.ACCEPTED, str(number)) for number, _ in enumerate(messages)]
        )

    mailer.answer = answer
    owner, campaign_id = await draft(runtime)
    await mutate(caller(mailing_api, runtime, owner), TEST, campaignId=gid(campaign_id), to=["ada@example.com"])
    assert open_then == [0]


async def test_postmark_accepts_a_test(runtime: Runtime) -> None:
    """Over real HTTP, the strict sandbox accepts the message and has it in its ledger."""
    owner, campaign_id = await draft(runtime)
    async with run_provider() as provider:
        test = await test_sends.prepare(
            runtime.reads(owner.tenant),
            campaign_id,
            ["a@example.com"],
            contact=previews.SAMPLE,
            policy=runtime.sender_policy,
            public_url="https://nudge.example",
        )
        handover = await test_sends.submit(provider.mailer, test)
        assert test_sends.accepted_of(test, handover) == ["a@example.com"]
        (message,) = await provider.messages(campaign_id)
    assert message["tag"] == "test"
