"""Handing a batch of messages to the provider: each message once, within a lease."""

from collections.abc import Sequence
from typing import NamedTuple

from core.clock import since_boot
from integrations.mail import (
    AccountRefused,
    Answered,
    BatchRefused,
    Envelope,
    InDoubt,
    Mailer,
    Message,
    NotSent,
    Outcome,
    ProviderLimits,
    Receipt,
    Verdict,
)
from services.mailing.leases import LeaseTimes, time_for

BODY_SHARE = 0.8
"""How much of the provider's limit a request may take, as its size is estimated."""
SEVERAL = 2
TEXT_LENGTH = 500
"""Characters of the provider's words that are stored."""


class Handed(NamedTuple):
    """A part of the batch and its outcome."""

    messages: Sequence[Message]
    outcome: Outcome


async def hand_over(
    mailer: Mailer, envelope: Envelope, messages: Sequence[Message], *, deadline: float, times: LeaseTimes
) -> list[Handed]:
    """Send every message once, within the lease. A batch refused whole is halved until the culprit is alone."""
    waiting = parts(messages, mailer.limits)
    handed: list[Handed] = []
    while waiting:
        batch = waiting.pop()
        if not time_for(deadline, times.request):
            handed.append(Handed(batch, NotSent(reason="The lease was nearly over.", local=True)))
            continue
        not_after = min(since_boot() + times.request, deadline)
        outcome = await mailer.send(envelope, batch, not_after=not_after)
        if isinstance(outcome, BatchRefused) and len(batch) > 1:
            middle = len(batch) // 2
            waiting += [batch[middle:], batch[:middle]]
            continue
        if isinstance(outcome, BatchRefused):
            outcome = Answered(receipts=[refusal(outcome)])
        handed.append(Handed(batch, outcome))
        if isinstance(outcome, NotSent | AccountRefused | InDoubt):
            handed += [Handed(rest, NotSent(reason="Not tried.", local=True)) for rest in waiting]
            break
    nobody = refusal_of_all(mailer.name, handed)
    if nobody is None:
        return handed
    return [part._replace(outcome=nobody) if isinstance(part.outcome, Answered) else part for part in handed]


def refusal_of_all(provider: str, handed: Sequence[Handed]) -> AccountRefused | None:
    """What is wrong with the campaign or the account, when several messages are all refused in the same words.

    It is then hardly the recipients' doing (a bad From address reads like that), and would cost the whole audience.
    Only addresses that the provider no longer mails are theirs, however many they are.
    """
    receipts = [receipt for part in handed if isinstance(part.outcome, Answered) for receipt in part.outcome.receipts]
    words = {(receipt.verdict, receipt.code, receipt.text) for receipt in receipts}
    if len(receipts) < SEVERAL or len(words) > 1:
        return None
    verdict, code, text = words.pop()
    if verdict is not Verdict.REFUSED:
        return None
    reason = f"{provider} refused every message of a batch. Check the sender and the content, then resume"
    reason += f" (code {code})" if code else ""
    reason += f": {text}" if text else "."
    return AccountRefused(code=code, reason=reason[:TEXT_LENGTH])


def refusal(outcome: BatchRefused) -> Receipt:
    """The receipt of the one message that made the provider refuse the batch."""
    return Receipt(outcome.verdict, None, outcome.code, outcome.reason)


def parts(messages: Sequence[Message], limits: ProviderLimits) -> list[Sequence[Message]]:
    """The messages in requests that the provider's limits allow; a whole batch almost always."""
    result: list[Sequence[Message]] = []
    most_bytes = limits.max_bytes * BODY_SHARE
    start = size = 0
    for index, message in enumerate(messages):
        # JSON writes most characters in one byte, at worst in six; three is more than mail in practice needs.
        own = 3 * (len(message.html) + len(message.text) + len(message.subject)) + 1_000
        if index > start and (size + own > most_bytes or index - start == limits.max_messages):
            result.append(messages[start:index])
            start, size = index, 0
        size += own
    if start < len(messages):
        result.append(messages[start:])
    return result
