"""What is reported of an address, and what it means for a contact."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from models.contact_events import ContactEventKind
from models.contacts import ContactStatus
from models.suppressions import SuppressionReason, SuppressionSource

# In order of weight: a contact shows the weightiest reason.
STATUS_OF: Final[dict[SuppressionReason, ContactStatus]] = {
    SuppressionReason.COMPLAINT: ContactStatus.COMPLAINED,
    SuppressionReason.UNSUBSCRIBED: ContactStatus.UNSUBSCRIBED,
    SuppressionReason.HARD_BOUNCE: ContactStatus.BOUNCED,
    SuppressionReason.PROVIDER: ContactStatus.BOUNCED,
}
# What a person has said holds for them whatever their address is by now; the rest tells of an address.
PERSONAL: Final = frozenset({SuppressionReason.COMPLAINT, SuppressionReason.UNSUBSCRIBED})
WEIGHT: Final = {
    ContactStatus.PENDING: 0,
    ContactStatus.SUBSCRIBED: 0,
    ContactStatus.BOUNCED: 1,
    ContactStatus.UNSUBSCRIBED: 2,
    ContactStatus.COMPLAINED: 3,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryLine:
    """A line of a contact's history. With `only_if_new` it is left out when it would tell what is there already."""

    kind: ContactEventKind
    dedupe_key: str
    data: dict[str, Any] = field(default_factory=dict)
    only_if_new: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SuppressionFact:
    """Why an address must not be mailed. `at` is when it happened, by the clock of whoever saw it.

    `contact_id`, `campaign_id` and `delivery_id` name the message that it was about, where one is known.
    """

    email_norm: str
    reason: SuppressionReason
    source: SuppressionSource
    at: datetime
    line: HistoryLine
    contact_id: UUID | None = None
    campaign_id: UUID | None = None
    delivery_id: UUID | None = None

    @property
    def key(self) -> tuple[str, SuppressionReason]:
        """The suppression row that it is about."""
        return self.email_norm, self.reason

    def concerns(self, contact_id: UUID, email_norm: str) -> bool:
        """Whether a contact must not be mailed for it."""
        if email_norm == self.email_norm:
            return True
        return self.contact_id == contact_id and self.reason in PERSONAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Reactivation:
    """The provider mails an address again. `by_recipient` says that the recipient asked it to."""

    email_norm: str
    at: datetime
    line: HistoryLine
    by_recipient: bool = False
    campaign_id: UUID | None = None
    delivery_id: UUID | None = None


def weightiest(reasons: Iterable[SuppressionReason]) -> SuppressionReason | None:
    """The reason that a contact shows, of those that hold."""
    return min(reasons, key=list(STATUS_OF).index, default=None)


def weighs_more(status: ContactStatus, than: ContactStatus) -> bool:
    """Whether a contact's status gives way to another."""
    return WEIGHT[status] > WEIGHT[than]
