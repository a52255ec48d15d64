"""The columns of a contact that say whether it may be mailed. Nobody else writes them."""

from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, case, func, null
from sqlalchemy.sql.selectable import LateralFromClause

from core.database.scopes import Reads
from models.contacts import ContactStatus
from services.suppressions.facts import STATUS_OF, weighs_more
from services.suppressions.reading import strongest, strongest_of

STATUS_COLUMNS: Final = ("status", "subscribed_at", "unsubscribed_at")


class NewStatus(NamedTuple):
    """The `STATUS_COLUMNS` of a contact that is inserted, for a select that outer-joins `suppression`."""

    suppression: LateralFromClause
    columns: tuple[ColumnElement[Any], ColumnElement[Any], ColumnElement[Any]]


def new_status(organization_id: UUID, email_norm: ColumnElement[str], wanted: ColumnElement[str]) -> NewStatus:
    """The wanted status, or the one that the suppression of the address calls for.

    An address that bounced counts as subscribed for all that, should it be mailed again one day.
    """
    suppression = strongest(organization_id, email_norm)
    statuses = {str(reason): str(status) for reason, status in STATUS_OF.items()}
    status = case(statuses, value=suppression.c.reason, else_=wanted)
    is_subscribed = (wanted == ContactStatus.SUBSCRIBED) & status.in_(
        [str(ContactStatus.SUBSCRIBED), str(ContactStatus.BOUNCED)]
    )
    is_unsubscribed = status == ContactStatus.UNSUBSCRIBED
    subscribed_at = case((is_subscribed, func.now()), else_=null())
    unsubscribed_at = case((is_unsubscribed, func.coalesce(suppression.c.occurred_at, func.now())), else_=null())
    return NewStatus(suppression, (status, subscribed_at, unsubscribed_at))


async def status_at_new_address(
    reads: Reads, status: ContactStatus, unsubscribed_at: datetime | None, email_norm: str
) -> dict[str, Any]:
    """What of a contact's `STATUS_COLUMNS` a new address changes: never to a status that weighs less."""
    found = await strongest_of(reads, email_norm)
    if found is None or not weighs_more(changed := STATUS_OF[found.reason], status):
        return {}
    left = changed is ContactStatus.UNSUBSCRIBED and unsubscribed_at is None
    return {"status": str(changed), **({"unsubscribed_at": found.at} if left else {})}
