"""Test messages: a campaign sent to a few addresses, without rows in `email_deliveries`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy import func, select

from core import email_addresses, texts
from core.access.actor import Actor
from core.access.tenant import Tenant
from core.clock import since_boot
from core.database.scopes import Reader
from core.errors import ErrorCode, InputErrors, InvalidInput, NudgeError
from core.ids import new_id
from core.throttle import Throttle
from core.unit_of_work import UnitOfWork, Work
from integrations.mail import (
    AccountRefused,
    BatchHeader,
    BatchProcessed,
    BatchRefused,
    InDoubt,
    Mailer,
    Message,
    NotSent,
    SubmissionResult,
    SubmissionStatus,
)
from models.accounts import User
from models.contact_events import ContactEventKind
from models.suppressions import SuppressionReason, SuppressionSource
from services import audit
from services.campaigns.listing import CampaignRow, require_with_content
from services.campaigns.validating import check_texts
from services.features import Feature
from services.mailing.handover import split
from services.messages import previews
from services.messages.content import MAX_SUBJECT_LENGTH
from services.rendering.messages import RenderedMessage
from services.senders import policy as sender_policy
from services.senders import reading
from services.senders.policy import SenderPolicy
from services.suppressions.facts import HistoryEntry, SuppressionFact
from services.suppressions.reading import suppressed_among
from services.suppressions.suppressing import suppress

_MAX_ADDRESSES: Final = 10
_TO_FIELD: Final = ("input", "to")
_PREFIX: Final = "[Test] "
_TAG: Final = "test"


class ProviderRefused(NudgeError):
    """The provider refused a message, or it is unknown whether it accepted it; the text is the provider's reason."""

    code = ErrorCode.PROVIDER_REFUSED


@dataclass(frozen=True, slots=True, kw_only=True)
class TestSends:
    """Dependencies of `send`. `public_url` is the base of our links, `limit` counts an organization's messages."""

    work: Work
    reads: Callable[[Tenant], Reader]
    mailer: Mailer
    policy: SenderPolicy
    limit: Throttle
    public_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TestSend:
    """A rendered test message of a campaign, with its sender and recipients."""

    campaign: CampaignRow
    sender: str
    to: Sequence[str]
    message: RenderedMessage
    unsubscribe_url: str


class Submission(NamedTuple):
    """The provider's results, in the order of the addresses, and the outcome that ended the submission early."""

    results: list[SubmissionResult]
    ended_by: NotSent | BatchRefused | AccountRefused | InDoubt | None = None


class SentTest(NamedTuple):
    """The campaign that was tested, and the addresses whose messages the provider accepted."""

    campaign: CampaignRow
    sent_to: list[str]


async def send(
    test_sends: TestSends,
    actor: Actor,
    campaign_id: UUID | None,
    to: Sequence[str],
    *,
    contact_id: UUID | None,
) -> SentTest:
    """Send a campaign of any status to a few addresses, rendered with the values of a contact or a sample contact.

    No transaction is open during the request to the provider. Raises what `prepare` raises, `Forbidden` for a contact
    that the actor may not read, `RateLimited`, `ProviderRefused`, or `InputErrors` of it if no message was accepted.
    """
    reads = test_sends.reads(actor.tenant)
    test = await prepare(
        reads,
        campaign_id,
        to,
        contact=await previews.values_for(reads, actor, contact_id),
        policy=test_sends.policy,
        public_url=test_sends.public_url,
    )
    await test_sends.limit.count(str(actor.organization_id), len(test.to))
    submission = await submit(test_sends.mailer, test)
    async with test_sends.work.begin(actor) as uow:
        await _record_test_send(uow, test, submission)
    return SentTest(test.campaign, accepted_of(test, submission))


async def prepare(
    reads: Reader,
    campaign_id: UUID | None,
    to: Sequence[str],
    *,
    contact: Mapping[str, object],
    policy: SenderPolicy,
    public_url: str,
) -> TestSend:
    """Render a campaign, whatever its status, with a contact's values; sends nothing.

    Suppressed addresses are refused, as in a campaign. If senders must be confirmed, only members and confirmed
    senders may get a test. Raises `FeatureUnavailable`, `NotFound`, `InvalidEmail`, `InvalidInput`,
    `SenderNotConfirmed`, `InputErrors` (empty or invalid texts) or `RenderFailed`.
    """
    policy.features.require(Feature.SENDING)
    campaign, content = await require_with_content(reads, campaign_id)
    norms = _parsed(to)
    await _require_not_suppressed(reads, norms)
    if policy.confirmed_only:
        await _require_known(reads, norms)
    chosen = sender_policy.stored_sender(policy, campaign.from_header, campaign.from_sender_id)
    chosen = chosen or await sender_policy.choose(reads, policy, campaign.sender_id)
    check_texts(campaign, content)
    link = f"{public_url}/u/test"  # without a valid token: the page reports that the link is not valid
    message = await previews.render(
        reads,
        {
            "subject": campaign.subject,
            "html_content": content.html_content,
            "text_content": content.text_content,
        },
        contact,
        name=campaign.name,
        unsubscribe_url=link,
    )
    return TestSend(
        campaign=campaign, sender=chosen.header, to=list(norms.values()), message=message, unsubscribe_url=link
    )


async def submit(mailer: Mailer, test: TestSend) -> Submission:
    """Submit the messages in batches, until one is not accepted. To be called without an open transaction."""
    messages = [
        Message(
            delivery_id=str(new_id()),
            to=address,
            subject=(_PREFIX + test.message.subject)[:MAX_SUBJECT_LENGTH],
            html=test.message.html,
            text=test.message.text,
            unsubscribe_url=test.unsubscribe_url,
        )
        for address in test.to
    ]
    header = BatchHeader(sender=test.sender, campaign_id=str(test.campaign.id), batch_id=str(new_id()), tag=_TAG)
    results: list[SubmissionResult] = []
    for part in split(messages, mailer.limits):
        outcome = await mailer.send(header, part, not_after=since_boot() + mailer.timeout_seconds)
        if not isinstance(outcome, BatchProcessed):
            return Submission(results, ended_by=outcome)
        results += outcome.results
    return Submission(results)


async def _record_test_send(uow: UnitOfWork, test: TestSend, submission: Submission) -> None:
    """Record how many messages were or may have been sent; suppress addresses that the provider no longer mails."""
    results, ended_by = submission
    accepted = sum(result.status is SubmissionStatus.ACCEPTED for result in results)
    unknown = len(test.to) - len(results) if isinstance(ended_by, InDoubt) else 0
    if accepted or unknown:
        counts = {"recipients": accepted} | ({"unknown": unknown} if unknown else {})
        await audit.record(uow, "campaign.tested", test.campaign.id, counts)
    pairs = zip(test.to, results, strict=False)
    inactive = [(address, result) for address, result in pairs if result.status is SubmissionStatus.INACTIVE]
    if inactive:
        now = (await uow.rows(select(func.now())))[0][0]
        await suppress(uow, [_refusal(address, result, now) for address, result in inactive])


def accepted_of(test: TestSend, submission: Submission) -> list[str]:
    """The addresses whose messages the provider accepted.

    Raises `InputErrors` of `ProviderRefused` if it accepted none, or `ProviderRefused` if there is no result at all.
    """
    results, ended_by = submission
    if ended_by is not None and not results:
        raise ProviderRefused(ended_by.reason, suggestion=_suggestion(ended_by))
    pairs = list(zip(test.to, results, strict=False))
    accepted = [address for address, result in pairs if result.status is SubmissionStatus.ACCEPTED]
    if not accepted:
        missing = (
            [] if ended_by is None else [_refused(address, ended_by.reason) for address in test.to[len(results) :]]
        )
        raise InputErrors([*(_refused(address, each.text or each.status) for address, each in pairs), *missing])
    return accepted


def _refusal(address: str, result: SubmissionResult, at: datetime) -> SuppressionFact:
    """The suppression of an address that the provider no longer mails."""
    data = {"code": result.code, "message": texts.sanitize(result.text)}
    return SuppressionFact(
        email_norm=address.lower(),
        reason=SuppressionReason.PROVIDER,
        source=SuppressionSource.PROVIDER,
        at=at,
        entry=HistoryEntry(kind=ContactEventKind.REJECTED, dedupe_key=f"rejected:{new_id()}", data=data),
    )


def _parsed(to: Sequence[str]) -> dict[str, str]:
    """The addresses without duplicates, by their normalized form."""
    if not 0 < len(to) <= _MAX_ADDRESSES:
        raise InvalidInput(
            f"A test message has 1 to {_MAX_ADDRESSES} recipients, not {len(to)}.",
            field=_TO_FIELD,
            code=ErrorCode.TOO_MANY if to else ErrorCode.REQUIRED,
        )
    addresses = [email_addresses.parse(text, field=(*_TO_FIELD, str(index))) for index, text in enumerate(to)]
    return {address.norm: address.email for address in addresses}


async def _require_not_suppressed(reads: Reader, norms: dict[str, str]) -> None:
    suppressed = await suppressed_among(reads, list(norms))
    if suppressed:
        raise InputErrors(
            [
                InvalidInput(
                    f"{norms[norm]} is suppressed: it bounced, complained or unsubscribed.",
                    field=_TO_FIELD,
                    suggestion="Send the test to another address.",
                )
                for norm in norms
                if norm in suppressed
            ]
        )


async def _require_known(reads: Reader, norms: dict[str, str]) -> None:
    """Raise `InputErrors` unless each address belongs to a member or is a confirmed sender."""
    requested = list(norms)
    members = await reads.rows(
        select(User.email_norm).where(User.email_norm.in_(requested), User.disabled_at.is_(None))
    )
    known = {row[0] for row in members} | await reading.confirmed_among(reads, requested)
    unknown = [
        InvalidInput(
            f"{norms[norm]} is neither a member's address nor a confirmed sender's.",
            field=(*_TO_FIELD, str(index)),
            suggestion="Send the test to a member of the organization, or confirm the address with `createSender`.",
        )
        for index, norm in enumerate(requested)
        if norm not in known
    ]
    if unknown:
        raise InputErrors([*unknown])


def _refused(address: str, reason: str) -> ProviderRefused:
    return ProviderRefused(f"{address}: {reason}", field=_TO_FIELD)


def _suggestion(outcome: NotSent | BatchRefused | AccountRefused | InDoubt) -> str:
    if isinstance(outcome, InDoubt):
        return "It may have been sent. Check the inbox before you try again."
    return "Nothing was sent. Try again when the problem is solved."
