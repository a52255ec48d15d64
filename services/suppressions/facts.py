"""Facts about an address, such as a bounce or a complaint, and the contact's status that follows from them."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from models.contact_events import ContactEventKind
from models.contacts import ContactStatus
from models.suppressions import SuppressionReason, SuppressionSource

# In order of precedence: a contact with several reasons has the status of the first.
STATUS_OF: Final[dict[SuppressionReason, ContactStatus]] = {
    SuppressionReason.COMPLAINT: ContactStatus.COMPLAINED,
    SuppressionReason.UNSUBSCRIBED: ContactStatus.UNSUBSCRIBED,
    SuppressionReason.HARD_BOUNCE: ContactStatus.BOUNCED,
    SuppressionReason.PROVIDER: ContactStatus.BOUNCED,
}
# A complaint or an unsubscription stays with the contact when its address changes; other reasons concern the address.
CONTACT_REASONS: Final = frozenset({SuppressionReason.COMPLAINT, SuppressionReason.UNSUBSCRIBED})
_PRECEDENCE: Final = {
    ContactStatus.PENDING: 0,
    ContactStatus.SUBSCRIBED: 0,
    ContactStatus.BOUNCED: 1,
    ContactStatus.UNSUBSCRIBED: 2,
    ContactStatus.COMPLAINED: 3,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEntry:
    """What a fact adds to a contact's history; with `only_if_new`, nothing if the history has that fact already."""

    kind: ContactEventKind
    dedupe_key: str
    data: dict[str, Any] = field(default_factory=dict)
    only_if_new: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SuppressionFact:
    """A reason not to mail an address. `at` is when it happened, by the clock of the reporting server.

    `contact_id`, `campaign_id` and `delivery_id` identify the message that it was about, if that is known.
    """

    email_norm: str
    reason: SuppressionReason
    source: SuppressionSource
    at: datetime
    entry: HistoryEntry
    contact_id: UUID | None = None
    campaign_id: UUID | None = None
    delivery_id: UUID | None = None

    @property
    def key(self) -> tuple[str, SuppressionReason]:
        """The key of its row in `suppressions`, within the organization."""
        return self.email_norm, self.reason

    def concerns(self, contact_id: UUID, email_norm: str) -> bool:
        """Whether it applies to a contact."""
        if email_norm == self.email_norm:
            return True
        return self.contact_id == contact_id and self.reason in CONTACT_REASONS


@dataclass(frozen=True, slots=True, kw_only=True)
class Reactivation:
    """The provider has reactivated an address; `by_recipient` when the recipient asked for it."""

    email_norm: str
    at: datetime
    entry: HistoryEntry
    by_recipient: bool = False
    campaign_id: UUID | None = None
    delivery_id: UUID | None = None


def main_reason(reasons: Iterable[SuppressionReason]) -> SuppressionReason | None:
    """The active reason with the highest precedence, which decides a contact's status."""
    return min(reasons, key=list(STATUS_OF).index, default=None)


def has_precedence(status: ContactStatus, than: ContactStatus) -> bool:
    """Whether `status` replaces the status `than` of a contact."""
    return _PRECEDENCE[status] > _PRECEDENCE[than]
