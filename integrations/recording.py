"""A mailer for tests and dry runs: it sends nothing, records messages, and returns given outcomes."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from integrations.mail import (
    BatchHeader,
    BatchProcessed,
    Message,
    Outcome,
    ProviderLimits,
    Stream,
    SubmissionResult,
    SubmissionStatus,
)

UNLIMITED: Final = ProviderLimits(max_messages=1_000, max_bytes=1 << 30, max_from_bytes=1_000)


class RecordingMailer:
    """Accepts every message unless `answer` returns another outcome; `sent` has what it accepted, in order."""

    name = "The recording mailer"
    account = "recording"
    timeout_seconds = 15.0
    sender = "news@nudge.example"

    def __init__(
        self,
        answer: Callable[[BatchHeader, Sequence[Message]], Outcome | None] | None = None,
        *,
        limits: ProviderLimits = UNLIMITED,
    ) -> None:
        self.answer = answer
        self.limits = limits
        self.sent: list[tuple[BatchHeader, Message, str]] = []

    async def send(self, header: BatchHeader, messages: Sequence[Message], *, not_after: float) -> Outcome:  # noqa: ARG002
        """Record the accepted messages."""
        planned = self.answer(header, messages) if self.answer else None
        outcome = planned or BatchProcessed(
            results=[SubmissionResult(SubmissionStatus.ACCEPTED, f"m-{m.delivery_id}") for m in messages]
        )
        if isinstance(outcome, BatchProcessed):
            for message, result in zip(messages, outcome.results, strict=True):
                if result.message_id is not None:
                    self.sent.append((header, message, result.message_id))
        return outcome

    async def search_batch(self, batch_id: str, stream: Stream = Stream.BROADCAST) -> Mapping[str, str]:
        """The accepted messages of a batch."""
        return {
            message.delivery_id: message_id
            for header, message, message_id in self.sent
            if header.batch_id == batch_id and header.stream is stream
        }

    async def aclose(self) -> None:
        """Nothing to close."""
