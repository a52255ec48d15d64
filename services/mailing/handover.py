"""The requests to the provider for a batch whose state SUBMITTING is committed, before its lease expires."""

from collections.abc import Sequence
from typing import NamedTuple

from core.clock import since_boot
from integrations.mail import (
    AccountRefused,
    BatchHeader,
    BatchProcessed,
    BatchRefused,
    InDoubt,
    Mailer,
    Message,
    NotSent,
    Outcome,
    ProviderLimits,
    SubmissionResult,
    SubmissionStatus,
)
from services.mailing.leases import LeaseTimes, has_time

_BODY_SHARE = 0.8
"""Share of the provider's size limit that a request may have, because its size is only estimated."""
_MIN_REFUSALS = 2
"""With fewer refusals nothing can be concluded about the campaign or the account."""
_INDIVIDUAL = frozenset({SubmissionStatus.INACTIVE, SubmissionStatus.RETRY_LATER})
"""Results that concern one recipient or moment, and show nothing about the sender or the content."""
MAX_REASON_LENGTH = 500
"""Characters of the provider's error text that are stored."""


class RequestOutcome(NamedTuple):
    """The messages of one request to the provider, and its outcome."""

    messages: Sequence[Message]
    outcome: Outcome


async def hand_over(
    mailer: Mailer, header: BatchHeader, messages: Sequence[Message], *, deadline: float, times: LeaseTimes
) -> list[RequestOutcome]:
    """Send the messages before `deadline` (`since_boot` seconds), each in at most one request that may be accepted.

    Messages of a request that the provider refuses because of one message are sent again in halves, until that
    message is alone. After `NotSent`, `AccountRefused` or `InDoubt` the remaining messages are not sent.
    """
    waiting = split(messages, mailer.limits)
    outcomes: list[RequestOutcome] = []
    while waiting:
        part = waiting.pop()
        if not has_time(deadline, times.request):
            outcomes.append(RequestOutcome(part, NotSent(reason="The lease was nearly over.", caused_locally=True)))
            continue
        not_after = min(since_boot() + times.request, deadline)
        outcome = await mailer.send(header, part, not_after=not_after)
        if isinstance(outcome, BatchRefused) and len(part) > 1:
            middle = len(part) // 2
            waiting += [part[middle:], part[:middle]]
            continue
        if isinstance(outcome, BatchRefused):
            outcome = BatchProcessed(results=[_result_of(outcome)])
        outcomes.append(RequestOutcome(part, outcome))
        if isinstance(outcome, NotSent | AccountRefused | InDoubt):
            outcomes += [RequestOutcome(rest, NotSent(reason="Not tried.", caused_locally=True)) for rest in waiting]
            break
    refusal = refusal_of_all(mailer.name, outcomes)
    if refusal is None:
        return outcomes
    return [each._replace(outcome=refusal) if isinstance(each.outcome, BatchProcessed) else each for each in outcomes]


def refusal_of_all(provider: str, outcomes: Sequence[RequestOutcome]) -> AccountRefused | None:
    """The refusal of the campaign or the account, if all of several messages were refused with one code and text.

    The cause is then most likely the sender or the content, such as a From address that the provider does not accept.
    If sending continued, the whole audience would be rejected. Inactive addresses and messages to be retried do not
    count, because they show nothing about that cause. If all others are refused, they are sent again later as well.
    """
    processed = [each.outcome for each in outcomes if isinstance(each.outcome, BatchProcessed)]
    results = [result for each in processed for result in each.results if result.status not in _INDIVIDUAL]
    refusals = {(result.status, result.code, result.text) for result in results}
    if len(results) < _MIN_REFUSALS or len(refusals) > 1:
        return None
    status, code, text = refusals.pop()
    if status is not SubmissionStatus.REFUSED:
        return None
    advice = "Check the sender and the content, then resume paused campaigns"
    reason = f"{provider} refused every message of a batch. {advice}"
    reason += f" (code {code})" if code else ""
    reason += f": {text}" if text else "."
    return AccountRefused(code=code, reason=reason[:MAX_REASON_LENGTH])


def _result_of(outcome: BatchRefused) -> SubmissionResult:
    """The result of the single message for which the provider refused the request."""
    return SubmissionResult(outcome.status, None, outcome.code, outcome.reason)


def split(messages: Sequence[Message], limits: ProviderLimits) -> list[Sequence[Message]]:
    """Split a batch into the messages of each request, within the provider's limits; almost always one request."""
    result: list[Sequence[Message]] = []
    max_bytes = limits.max_bytes * _BODY_SHARE
    start = size = 0
    for index, message in enumerate(messages):
        # A character takes one to six bytes of JSON; three is more than the average of real mail.
        own = 3 * (len(message.html) + len(message.text) + len(message.subject)) + 1_000
        if index > start and (size + own > max_bytes or index - start == limits.max_messages):
            result.append(messages[start:index])
            start, size = index, 0
        size += own
    if start < len(messages):
        result.append(messages[start:])
    return result
