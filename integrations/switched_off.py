"""Adapters in place of vendors that are not configured. Services refuse requests before they use them."""

from collections.abc import AsyncGenerator, Mapping, Sequence

from integrations.language import ModelRefused, Prompt, ReplyPiece
from integrations.mail import BatchHeader, Message, NotSent, Outcome, ProviderLimits, SearchFailed, Stream

_NO_MAIL = "Sending is disabled in this installation."
_NO_MODEL = "Maya is disabled in this installation."


class NoMailer:
    """Does not send, and does not find anything."""

    name = "No mail provider"
    account = "none"
    limits = ProviderLimits(max_messages=1, max_bytes=1, max_from_bytes=998)  # RFC 5322 (2.1.1): the length of a line
    timeout_seconds = 1.0
    sender = ""

    async def send(self, header: BatchHeader, messages: Sequence[Message], *, not_after: float) -> Outcome:  # noqa: ARG002 - the protocol's
        """Return `NotSent`."""
        return NotSent(reason=_NO_MAIL, caused_locally=True)

    async def search_batch(self, batch_id: str, stream: Stream = Stream.BROADCAST) -> Mapping[str, str]:  # noqa: ARG002 - the same
        """Raise `SearchFailed`."""
        raise SearchFailed(_NO_MAIL)

    async def aclose(self) -> None:
        """Nothing to close."""


class NoModel:
    """Refuses every prompt."""

    async def stream(self, prompt: Prompt) -> AsyncGenerator[ReplyPiece, None]:  # noqa: ARG002 - the protocol's
        """Raise `ModelRefused` before the first piece."""
        no_pieces: Sequence[ReplyPiece] = ()
        for piece in no_pieces:
            yield piece
        raise ModelRefused(_NO_MODEL)

    async def aclose(self) -> None:
        """Nothing to close."""
