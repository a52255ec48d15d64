"""Submitting a batch to the provider: split by its limits, each message once, none after an account error."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from core.clock import since_boot
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
from integrations.recording import UNLIMITED, RecordingMailer
from services.mailing.handover import RequestOutcome, hand_over, refusal_of_all, split
from services.mailing.leases import LeaseTimes
from tests.deliveries.model import ModelMailer

HEADER = BatchHeader(sender="a@b.example", campaign_id="c", batch_id="b", tag="t")
TIMES = LeaseTimes(lease=60, render=6, request=30, needed=36)


def message(number: int, size: int = 10) -> Message:
    """A message of about so many characters."""
    return Message(str(number), f"{number}@b.example", "s", "h" * size, "t", "https://x.example/u/1")


def sizes(messages: Sequence[Message], max_messages: int, max_bytes: int = 10**9) -> list[int]:
    """The number of messages in each request; together they are all, in their order."""
    parts = split(messages, replace(UNLIMITED, max_messages=max_messages, max_bytes=max_bytes))
    assert [one for part in parts for one in part] == list(messages)
    return [len(part) for part in parts]


def test_a_batch_is_split_by_the_provider_s_limits() -> None:
    """By messages, and by bytes as JSON; a message that is too large is sent alone."""
    five = [message(number) for number in range(5)]
    assert sizes(five, 5) == [5]
    assert sizes(five, 2) == [2, 2, 1]
    assert sizes(five, 1) == [1] * 5
    assert sizes([], 2) == []
    # An estimate: three bytes a character, a thousand for the rest, and 80 % of the limit.
    own = 3 * 12 + 1_000
    assert sizes(five, 5, 2 * own * 10 // 8 + 2) == [2, 2, 1]
    assert sizes(five, 5, 2 * own * 10 // 8 - 2) == [1] * 5
    large = [message(0), message(1, 100_000), message(2), message(3)]
    assert sizes(large, 5, 10_000) == [1, 1, 2]
    assert sizes(large[1:], 5, 10_000) == [1, 2]


@pytest.mark.parametrize(
    "error",
    [NotSent(reason="429"), AccountRefused(code=405, reason="Pay."), InDoubt(reason="500")],
)
async def test_after_an_error_of_the_account_nothing_more_is_sent(error: Outcome) -> None:
    """The outcomes before it stay; the remaining messages are not sent, for a local reason."""
    answers: list[Outcome] = [BatchProcessed(results=[SubmissionResult(SubmissionStatus.ACCEPTED, "m")]), error]
    mailer = RecordingMailer(lambda *_: answers.pop(0), limits=replace(UNLIMITED, max_messages=1))
    messages = [message(number) for number in range(4)]
    outcomes = await hand_over(mailer, HEADER, messages, deadline=since_boot() + 90, times=TIMES)
    assert answers == []
    assert {one.delivery_id: part.outcome for part in outcomes for one in part.messages}.keys() == set("0123")
    outcomes_by_delivery = {part.messages[0].delivery_id: part.outcome for part in outcomes}
    sent_ids = [
        one
        for one, outcome in outcomes_by_delivery.items()
        if not (isinstance(outcome, NotSent) and outcome.caused_locally)
    ]
    assert len(sent_ids) == 2
    assert error in outcomes_by_delivery.values()
    assert [outcomes_by_delivery[one] for one in outcomes_by_delivery if one not in sent_ids] == [
        NotSent(reason="Not tried.", caused_locally=True)
    ] * 2


async def test_a_refused_batch_is_halved_in_order() -> None:
    """It is split until the invalid message is alone, and all others are accepted."""
    mailer = ModelMailer(outcome="invalid message")
    messages = [message(number) for number in range(5)]
    await hand_over(mailer, HEADER, messages, deadline=since_boot() + 90, times=TIMES)
    assert [one.delivery_id for one in mailer.accepted] == list("01234")


async def test_near_the_end_of_the_lease_nothing_is_sent() -> None:
    """Every remaining request has an outcome, so that no message is lost."""
    mailer = ModelMailer(limits=replace(UNLIMITED, max_messages=1))
    messages = [message(number) for number in range(3)]
    outcomes = await hand_over(mailer, HEADER, messages, deadline=since_boot() + 29, times=TIMES)
    assert sorted(one.delivery_id for part in outcomes for one in part.messages) == list("012")
    assert {part.outcome for part in outcomes} == {NotSent(reason="The lease was nearly over.", caused_locally=True)}
    assert mailer.accepted == []


def test_two_messages_with_the_same_refusal_are_enough() -> None:
    """The reason is short enough to be stored."""
    results = [SubmissionResult(SubmissionStatus.REFUSED, None, 300, "x" * 600)] * 2
    refusal = refusal_of_all("P", [RequestOutcome([message(0), message(1)], BatchProcessed(results=results))])
    assert refusal is not None
    assert (refusal.code, len(refusal.reason)) == (300, 500)


@pytest.mark.parametrize(
    ("code", "words", "end"),
    [(300, "No.", " (code 300): No."), (300, "", " (code 300)."), (0, "No.", ": No."), (0, "", ".")],
)
def test_a_refused_batch_has_the_provider_s_code_and_text(code: int, words: str, end: str) -> None:
    """Either may be missing."""
    results = [SubmissionResult(SubmissionStatus.REFUSED, None, code, words)] * 2
    refusal = refusal_of_all("P", [RequestOutcome([message(0), message(1)], BatchProcessed(results=results))])
    assert refusal is not None
    assert (
        refusal.reason
        == f"P refused every message of a batch. Check the sender and the content, then resume paused campaigns{end}"
    )
