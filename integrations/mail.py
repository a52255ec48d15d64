"""What the product asks of a mail provider, in the product's words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol


class Stream(StrEnum):
    """Which of the account's streams a message is sent on: bulk mail has a way out, system mail is for one person."""

    BROADCAST = "broadcast"
    TRANSACTIONAL = "transactional"


class Message(NamedTuple):
    """One recipient's message, ready to go. `unsubscribe_url` is of every broadcast, and of no other message."""

    delivery_id: str
    to: str
    subject: str
    html: str
    text: str
    unsubscribe_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """What all messages of a batch share. The batch's and the delivery's id are how we find them again.

    `sender` is a From header's value, e.g. `"Acme, Inc." <news@acme.example>`.
    """

    sender: str
    batch_id: str
    tag: str
    campaign_id: str | None = None
    stream: Stream = Stream.BROADCAST


class Verdict(StrEnum):
    """What the provider said of one message."""

    ACCEPTED = "accepted"
    INACTIVE = "inactive"
    REFUSED = "refused"
    NOT_NOW = "not_now"
    ACCOUNT = "account"


class Receipt(NamedTuple):
    """The provider's answer for one message: its id when accepted, otherwise a code and a text."""

    verdict: Verdict
    message_id: str | None = None
    code: int = 0
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A receipt for each message, in the order they were given."""

    receipts: Sequence[Receipt]


@dataclass(frozen=True, slots=True, kw_only=True)
class NotSent:
    """Certainly nothing was sent; trying again later is right. `retry_after_seconds` as the provider asked for.

    `local` says that the cause is this process's own: no reason to go easy on the provider.
    """

    reason: str
    retry_after_seconds: float | None = None
    local: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRefused:
    """Certainly nothing was sent: something in the batch spoils it whole.

    `verdict` is what the provider says of the message when the batch is this message alone: REFUSED or INACTIVE.
    """

    code: int
    reason: str
    verdict: Verdict = Verdict.REFUSED


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountRefused:
    """Certainly nothing was sent, and nothing will be until a person acts."""

    code: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InDoubt:
    """Some or all of the batch may have been sent, or, when `under_way`, may be this very moment."""

    reason: str
    under_way: bool = False


Outcome = Answered | NotSent | BatchRefused | AccountRefused | InDoubt


class SearchFailed(ConnectionError):
    """The provider's search gave no answer, so nothing is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderLimits:
    """What a provider takes: messages and bytes of one request, bytes of a From header, messages in a second.

    `messages_per_second` is the account's rate over all processes; 0 means unlimited.
    """

    max_messages: int
    max_bytes: int
    max_from_bytes: int
    messages_per_second: int = 0


class Mailer(Protocol):
    """A mail provider, by one account of it."""

    @property
    def name(self) -> str:
        """The provider's name as people read it in messages."""

    @property
    def account(self) -> str:
        """The name of the account that a rate limit applies to; no secret."""

    @property
    def limits(self) -> ProviderLimits:
        """What the provider takes."""

    @property
    def timeout_seconds(self) -> float:
        """The longest that one request to it may take, as it is configured."""

    @property
    def sender(self) -> str:
        """The From of the installation's own mail, an address that the account may send from; may be empty."""

    async def send(self, envelope: Envelope, messages: Sequence[Message], *, not_after: float) -> Outcome:
        """Hand a batch over, in one attempt that ends by `not_after` (`since_boot` seconds).

        Says what became of it; raises nothing that the provider causes.
        """

    async def find(self, batch_id: str, stream: Stream = Stream.BROADCAST) -> Mapping[str, str]:
        """The provider's message id of every delivery of a batch that it knows; raises `SearchFailed`."""

    async def aclose(self) -> None:
        """Close the connections."""
