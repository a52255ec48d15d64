"""Retention: deleting expired idempotency keys, ended sessions, used tokens, applied events and finished mail."""

from typing import Final, NamedTuple

from sqlalchemy import func, select

from core.database.scopes import SystemScope

_PAGE_SIZE: Final = 10_000
"""Rows of each table that are deleted in one transaction, to keep it short."""
MAX_PAGES: Final = 50
"""Transactions of one call for each function: the sweep must end in time, as other sweeps wait for its slot."""


class DeletedRows(NamedTuple):
    """How many rows were deleted, and whether there may be more."""

    rows: int
    more: bool


async def delete_expired(
    system: SystemScope, *, page_size: int = _PAGE_SIZE, max_pages: int = MAX_PAGES
) -> DeletedRows:
    """Delete the expired rows of all organizations. Each model's `__row_security__` defines which those are.

    Idempotency keys and confirmations of senders when they expire, all others 30 days after they ended.
    """
    total, more = 0, False
    for delete in (func.system.delete_expired(page_size), func.system.delete_expired_mail(page_size)):
        for _ in range(max_pages):
            deleted = int((await system.rows(select(delete)))[0][0])
            total += deleted
            if not deleted:
                break
        else:
            more = True
    return DeletedRows(total, more)
