"""The status columns of contacts, which only this package writes."""

from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, case, func, null
from sqlalchemy.sql.selectable import LateralFromClause

from core.database.scopes import Reader
from models.contacts import ContactStatus
from services.suppressions.facts import STATUS_OF, has_precedence
from services.suppressions.reading import main_suppression, read_main_suppression

STATUS_COLUMNS: Final = ("status", "subscribed_at", "unsubscribed_at")


class NewStatus(NamedTuple):
    """The `STATUS_COLUMNS` of a new contact, for a SELECT with an outer join of `suppression`."""

    suppression: LateralFromClause
    columns: tuple[ColumnElement[Any], ColumnElement[Any], ColumnElement[Any]]


def new_status(organization_id: UUID, email_norm: ColumnElement[str], requested: ColumnElement[str]) -> NewStatus:
    """The requested status, or that of the address's suppression.

    `subscribed_at` is also set if the address has bounced: the contact is subscribed once it is reactivated.
    """
    suppression = main_suppression(organization_id, email_norm)
    statuses = {str(reason): str(status) for reason, status in STATUS_OF.items()}
    status = case(statuses, value=suppression.c.reason, else_=requested)
    is_subscribed = (requested == ContactStatus.SUBSCRIBED) & status.in_(
        [str(ContactStatus.SUBSCRIBED), str(ContactStatus.BOUNCED)]
    )
    is_unsubscribed = status == ContactStatus.UNSUBSCRIBED
    subscribed_at = case((is_subscribed, func.now()), else_=null())
    unsubscribed_at = case((is_unsubscribed, func.coalesce(suppression.c.occurred_at, func.now())), else_=null())
    return NewStatus(suppression, (status, subscribed_at, unsubscribed_at))


async def status_at_new_address(
    reads: Reader, status: ContactStatus, unsubscribed_at: datetime | None, email_norm: str
) -> dict[str, Any]:
    """The changes of a contact's `STATUS_COLUMNS` by a new address: only to a status of higher precedence."""
    suppression = await read_main_suppression(reads, email_norm)
    if suppression is None or not has_precedence(new_status := STATUS_OF[suppression.reason], status):
        return {}
    sets_time = new_status is ContactStatus.UNSUBSCRIBED and unsubscribed_at is None
    return {"status": str(new_status), **({"unsubscribed_at": suppression.at} if sets_time else {})}
