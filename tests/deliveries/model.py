"""A mail provider in this process, with failures that a test configures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from core.ids import new_id
from integrations.mail import (
    AccountRefused,
    BatchHeader,
    BatchProcessed,
    BatchRefused,
    InDoubt,
    Message,
    NotSent,
    Outcome,
    ProviderLimits,
    SearchFailed,
    Stream,
    SubmissionResult,
    SubmissionStatus,
)
from integrations.recording import UNLIMITED


class Accepted(NamedTuple):
    """A message that the provider has accepted."""

    message_id: str
    campaign_id: str | None
    batch_id: str
    delivery_id: str
    to: str
    accepted_at: int = 0
    stream: Stream = Stream.BROADCAST


OUTCOMES = (
    "ok",
    "inactive",
    "refused",
    "rate limited",
    "account",
    "invalid message",
    "failed before",
    "failed after",
    "failed half-way",
)


@dataclass(slots=True)
class ModelMailer:
    """Handles the next batches as `outcome` says; `accepted` has all accepted messages, whatever it reported.

    Its search shows a message after `lag` of its `time`, which the caller advances.
    """

    account: str = "model"
    outcome: str = "ok"
    search_fails: bool = False
    time: int = 0
    lag: int = 0
    accepted: list[Accepted] = field(default_factory=list)
    deadlines: list[float] = field(default_factory=list)
    limits: ProviderLimits = UNLIMITED
    name: str = "The model"
    timeout_seconds: float = 15.0
    sender: str = "news@nudge.example"

    async def send(self, header: BatchHeader, messages: Sequence[Message], *, not_after: float) -> Outcome:
        """Accept the batch, or part of it, or nothing, and report that, or not."""
        self.deadlines.append(not_after)
        outcomes: dict[str, Outcome] = {
            "rate limited": NotSent(reason="429"),
            "account": AccountRefused(code=405, reason="Pay."),
            "failed before": InDoubt(reason="500"),
        }
        if self.outcome in outcomes:
            return outcomes[self.outcome]
        if self.outcome == "invalid message" and len(messages) > 1:
            return BatchRefused(code=300, reason="Something is wrong with one of them.")
        accepted = messages
        if self.outcome == "failed half-way":
            accepted = messages[: len(messages) // 2]
        elif self.outcome in ("inactive", "refused"):
            accepted = messages[1:]
        results = [self.accept(header, message) for message in accepted]
        if self.outcome.startswith("failed"):
            return InDoubt(reason="The connection was closed.")
        if self.outcome in ("inactive", "refused"):
            submission_status = SubmissionStatus.INACTIVE if self.outcome == "inactive" else SubmissionStatus.REFUSED
            results.insert(0, SubmissionResult(submission_status, None, 406, "No."))
        return BatchProcessed(results=results)

    def accept(self, header: BatchHeader, message: Message) -> SubmissionResult:
        """Accept one message."""
        message_id = str(new_id())
        self.accepted.append(
            Accepted(
                message_id,
                header.campaign_id,
                header.batch_id,
                message.delivery_id,
                message.to,
                self.time,
                header.stream,
            )
        )
        return SubmissionResult(SubmissionStatus.ACCEPTED, message_id)

    async def search_batch(self, batch_id: str, stream: Stream = Stream.BROADCAST) -> Mapping[str, str]:
        """The accepted messages of a batch that the search already returns."""
        if self.search_fails:
            raise SearchFailed("no answer")
        visible = [one for one in self.accepted if one.accepted_at + self.lag <= self.time and one.stream is stream]
        return {one.delivery_id: one.message_id for one in visible if one.batch_id == batch_id}

    async def aclose(self) -> None:
        """Nothing to close."""
