"""A mailer that sends nothing: it remembers, and answers as it is told. For tests and dry runs."""

from collections.abc import Callable, Mapping, Sequence

from integrations.mail import Answered, Envelope, Message, Outcome, Receipt, Stream, Verdict


class RecordingMailer:
    """Accepts every message unless `answer` decides otherwise; `sent` holds what it accepted, in order."""

    account = "recording"

    def __init__(self, answer: Callable[[Envelope, Sequence[Message]], Outcome | None] | None = None) -> None:
        self.answer = answer
        self.sent: list[tuple[Envelope, Message, str]] = []

    async def send(self, envelope: Envelope, messages: Sequence[Message], *, not_after: float) -> Outcome:  # noqa: ARG002
        """Remember the messages that are accepted."""
        told = self.answer(envelope, messages) if self.answer else None
        outcome = told or Answered(receipts=[Receipt(Verdict.ACCEPTED, f"m-{m.delivery_id}") for m in messages])
        if isinstance(outcome, Answered):
            for message, receipt in zip(messages, outcome.receipts, strict=True):
                if receipt.message_id is not None:
                    self.sent.append((envelope, message, receipt.message_id))
        return outcome

    async def find(self, batch_id: str, stream: Stream = Stream.BROADCAST) -> Mapping[str, str]:
        """What was accepted of a batch."""
        return {
            message.delivery_id: message_id
            for envelope, message, message_id in self.sent
            if envelope.batch_id == batch_id and envelope.stream is stream
        }

    async def aclose(self) -> None:
        """Nothing to close."""
