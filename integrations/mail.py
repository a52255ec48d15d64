"""The protocol of mail providers, without any vendor's terms."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol


class Stream(StrEnum):
    """The provider's message stream: broadcast for campaigns, transactional for system mail."""

    BROADCAST = "broadcast"
    TRANSACTIONAL = "transactional"


class Message(NamedTuple):
    """A rendered message to one recipient. Every broadcast message has an `unsubscribe_url`, and no other one."""

    delivery_id: str
    to: str
    subject: str
    html: str
    text: str
    unsubscribe_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchHeader:
    """What the messages of a batch have in common: the From header, the stream, the tag, and the metadata.

    `sender` is a From header's value, e.g. `"Acme, Inc." <news@acme.example>`. The provider stores the ids as
    metadata of each message, so that its search finds the messages of a batch.
    """

    sender: str
    batch_id: str
    tag: str
    campaign_id: str | None = None
    stream: Stream = Stream.BROADCAST


class SubmissionStatus(StrEnum):
    """The status of one message in the provider's response.

    ACCEPTED: the provider will send it. All other messages were not sent. INACTIVE: the provider has deactivated the
    address. REFUSED: the message is refused permanently. RETRY_LATER: a retry may succeed. ACCOUNT_REFUSED: the
    provider refuses all messages of the account until somebody corrects the cause, such as an expired plan.
    """

    ACCEPTED = "accepted"
    INACTIVE = "inactive"
    REFUSED = "refused"
    RETRY_LATER = "retry_later"
    ACCOUNT_REFUSED = "account_refused"


class SubmissionResult(NamedTuple):
    """The provider's response for one message: its message id if accepted, otherwise an error code and text."""

    status: SubmissionStatus
    message_id: str | None = None
    code: int = 0
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchProcessed:
    """The provider processed the batch: it accepted or refused each message. `results` has their order."""

    results: Sequence[SubmissionResult]


@dataclass(frozen=True, slots=True, kw_only=True)
class NotSent:
    """Certainly nothing was sent, and a retry may succeed. `retry_after_seconds` is the provider's Retry-After.

    `caused_locally`: the cause is in this process, such as a lack of time, so that there is no reason to back off.
    """

    reason: str
    retry_after_seconds: float | None = None
    caused_locally: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRefused:
    """Certainly nothing was sent: the provider refused the whole request because of some message in it.

    `status` is the status of the message if the request has only one: REFUSED or INACTIVE.
    """

    code: int
    reason: str
    status: SubmissionStatus = SubmissionStatus.REFUSED


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountRefused:
    """Certainly nothing was sent, and nothing will be until somebody corrects the cause, such as a wrong token."""

    code: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InDoubt:
    """Some or all messages may have been sent; if `in_progress`, the provider may still be processing the request."""

    reason: str
    in_progress: bool = False


Outcome = BatchProcessed | NotSent | BatchRefused | AccountRefused | InDoubt


class SearchFailed(ConnectionError):
    """The provider's search failed, so nothing can be concluded from it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderLimits:
    """A provider's limits: messages and bytes of a request, bytes of a From header, messages per second.

    `messages_per_second` is the account's rate over all processes; 0 means unlimited.
    """

    max_messages: int
    max_bytes: int
    max_from_bytes: int
    messages_per_second: int = 0


class Mailer(Protocol):
    """One account at a mail provider."""

    @property
    def name(self) -> str:
        """The provider's name, as shown to users."""

    @property
    def account(self) -> str:
        """The key of the account's rate limit, which all processes share; not a secret."""

    @property
    def limits(self) -> ProviderLimits:
        """The provider's limits."""

    @property
    def timeout_seconds(self) -> float:
        """The configured timeout of a request."""

    @property
    def sender(self) -> str:
        """The From header of system mail, with an address that the account may use; may be empty."""

    async def send(self, header: BatchHeader, messages: Sequence[Message], *, not_after: float) -> Outcome:
        """Send a batch in one attempt, which ends by `not_after` (`since_boot` seconds).

        Returns errors of the provider and of the network as an `Outcome`, and does not raise them.
        """

    async def search_batch(self, batch_id: str, stream: Stream = Stream.BROADCAST) -> Mapping[str, str]:
        """Search the provider's records for the messages of a batch.

        Returns the provider's message ids, by delivery id. Raises `SearchFailed`.
        """

    async def aclose(self) -> None:
        """Close the connections."""
