"""Test messages below the API: their recipients, their number, and their content."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from redis.asyncio import Redis
from sqlalchemy import func, select, update

from core.access.actor import Actor, user_actor
from core.access.permissions import Role
from core.errors import ErrorCode, InputErrors, InvalidInput, RateLimited
from core.ids import new_id
from core.throttle import Throttle
from integrations.mail import (
    AccountRefused,
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
from models.accounts import User
from models.campaigns import Campaign
from runtime import Runtime, secret
from services.campaigns import test_sends
from services.messages import previews
from tests import factories


async def prepared(
    runtime: Runtime, owner: Actor, to: list[str], *, confirmed_only: bool = False
) -> test_sends.TestSend:
    """A test of a new draft of the owner."""
    campaign_id = await factories.campaign(runtime, owner)
    async with runtime.work.begin(owner) as uow:
        await uow.execute(update(Campaign).where(Campaign.id == campaign_id).values(subject="s" * 998))
    return await test_sends.prepare(
        runtime.reads(owner.tenant),
        campaign_id,
        to,
        contact=previews.SAMPLE,
        policy=replace(runtime.sender_policy, confirmed_only=confirmed_only),
        public_url="https://x.example",
    )


async def test_a_test_goes_to_at_most_ten_addresses(runtime: Runtime) -> None:
    """Each once, however it is written; the subject stays within the line length of RFC 5322."""
    owner = await factories.organization(runtime)
    ten = [f"to-{number}@example.com" for number in range(10)]
    test = await prepared(runtime, owner, [*ten[:9], ten[0].upper()])
    assert len(test.to) == 9
    test = await prepared(runtime, owner, ten)
    mailer = RecordingMailer()
    assert len((await test_sends.submit(mailer, test)).results) == 10
    assert [message.to for _, message, _ in mailer.sent] == ten
    assert {message.subject for _, message, _ in mailer.sent} == {("[Test] " + "s" * 998)[:998]}
    for to, code in (([*ten, "one@example.com"], ErrorCode.TOO_MANY), ([], ErrorCode.REQUIRED)):
        with pytest.raises(InvalidInput) as excinfo:
            await prepared(runtime, owner, to)
        assert (excinfo.value.error_code, excinfo.value.field) == (code, ("input", "to"))


async def test_in_production_tests_go_to_members_and_confirmed_senders(runtime: Runtime) -> None:
    """Not to a disabled member, nor to one of another organization; each is reported with its position."""
    owner, other = await factories.organization(runtime), await factories.organization(runtime)
    await factories.sender(runtime, owner, default=True)
    disabled = user_actor(owner.organization_id, new_id(), Role.EDITOR)
    await factories.member(runtime, disabled)
    async with runtime.work.begin(owner) as uow:
        disable = update(User).where(User.id == disabled.user_id).values(disabled_at=func.now())
        disabled_email = (await uow.rows(disable.returning(User.email)))[0].email
        mine = (await uow.rows(select(User.email).where(User.id == owner.user_id)))[0].email
    theirs = (await runtime.reads(other.tenant).rows(select(User.email)))[0].email
    assert (await prepared(runtime, owner, [mine], confirmed_only=True)).to == [mine]
    with pytest.raises(InputErrors) as excinfo:
        await prepared(runtime, owner, [mine, disabled_email, theirs], confirmed_only=True)
    assert [error.field for error in excinfo.value.errors] == [("input", "to", "1"), ("input", "to", "2")]


async def test_each_address_of_a_test_counts(runtime: Runtime) -> None:
    """A test that would exceed the organization's limit is not sent to any address."""
    owner = await factories.organization(runtime)
    campaign_id = await factories.campaign(runtime, owner)
    mailer = RecordingMailer()
    async with Redis.from_url(secret(runtime.settings.redis.url)) as redis:
        sends = test_sends.TestSends(
            work=runtime.work,
            reads=runtime.reads,
            mailer=mailer,
            policy=runtime.sender_policy,
            limit=Throttle(redis, f"tests-{new_id()}", limit=3, seconds=60, message="Enough."),
            public_url="https://x.example",
        )
        two = ["a@example.com", "b@example.com"]
        assert (await test_sends.send(sends, owner, campaign_id, two, contact_id=None)).sent_to == two
        with pytest.raises(RateLimited):
            await test_sends.send(sends, owner, campaign_id, two, contact_id=None)
    assert len(mailer.sent) == 2


class OneByOne(RecordingMailer):
    """A provider that takes one message a request, with an outcome for each."""

    def __init__(self, *outcomes: Outcome) -> None:
        super().__init__()
        self.limits = replace(self.limits, max_messages=1)
        self.outcomes = list(outcomes)
        self.requested: list[str] = []

    async def send(self, header: BatchHeader, messages: Sequence[Message], *, not_after: float) -> Outcome:
        """The next outcome."""
        del header, not_after
        self.requested += [message.to for message in messages]
        return self.outcomes.pop(0)


REFUSED = BatchProcessed(results=[SubmissionResult(SubmissionStatus.REFUSED, code=300, text="Invalid address")])
ACCEPTED = BatchProcessed(results=[SubmissionResult(SubmissionStatus.ACCEPTED, message_id="m1")])
TO = ["a@example.com", "b@example.com", "c@example.com"]


async def test_addresses_that_the_provider_never_got_are_named(runtime: Runtime) -> None:
    """If it refuses the first of three and cannot be reached for the second, each of them has an error."""
    owner = await factories.organization(runtime)
    test = await prepared(runtime, owner, TO)
    mailer = OneByOne(REFUSED, NotSent(reason="The provider is unavailable."))
    submission = await test_sends.submit(mailer, test)
    assert mailer.requested == TO[:2]
    assert submission.results == REFUSED.results
    with pytest.raises(InputErrors) as excinfo:
        test_sends.accepted_of(test, submission)
    assert [str(error) for error in excinfo.value.errors] == [
        "a@example.com: Invalid address",
        "b@example.com: The provider is unavailable.",
        "c@example.com: The provider is unavailable.",
    ]
    assert {error.field for error in excinfo.value.errors} == {("input", "to")}
    assert {error.error_code for error in excinfo.value.errors} == {ErrorCode.PROVIDER_REFUSED}


async def test_what_was_accepted_before_a_refusal_counts(runtime: Runtime) -> None:
    """The result is the addresses of accepted messages, also when the submission fails after them."""
    owner = await factories.organization(runtime)
    test = await prepared(runtime, owner, TO)
    mailer = OneByOne(ACCEPTED, REFUSED, InDoubt(reason="The connection was lost."))
    submission = await test_sends.submit(mailer, test)
    assert test_sends.accepted_of(test, submission) == TO[:1]
    assert len(submission.results) == 2


@pytest.mark.parametrize(
    ("outcome", "suggestion"),
    [
        (NotSent(reason="Busy."), "Nothing was sent. Try again when the problem is solved."),
        (AccountRefused(code=10, reason="Busy."), "Nothing was sent. Try again when the problem is solved."),
        (InDoubt(reason="Busy."), "It may have been sent. Check the inbox before you try again."),
    ],
)
async def test_without_any_receipt_there_is_one_error(runtime: Runtime, outcome: Outcome, suggestion: str) -> None:
    """It has the provider's reason, and whether a message may have been sent."""
    owner = await factories.organization(runtime)
    test = await prepared(runtime, owner, TO)
    mailer = OneByOne(outcome)
    submission = await test_sends.submit(mailer, test)
    assert mailer.requested == TO[:1]
    with pytest.raises(test_sends.ProviderRefused, match="Busy") as excinfo:
        test_sends.accepted_of(test, submission)
    assert (excinfo.value.field, excinfo.value.suggestion) == ((), suggestion)
