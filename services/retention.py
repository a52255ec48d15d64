"""Retention: deleting expired idempotency keys, ended sessions, used tokens, applied events and finished mail."""

from typing import Final

from sqlalchemy import func, select

from core.database.scopes import SystemScope

AT_ONCE: Final = 10_000
"""Rows of a kind in one transaction, so that none is long."""


async def delete_expired(system: SystemScope, *, at_once: int = AT_ONCE) -> int:
    """Delete the expired rows of all organizations; how many. Each model's `__row_security__` says which those are.

    Idempotency keys and confirmations of senders when they expire, all others 30 days after they ended.
    """
    total = 0
    for delete in (func.system.delete_expired(at_once), func.system.delete_expired_mail(at_once)):
        while deleted := int((await system.rows(select(delete)))[0][0]):
            total += deleted
    return total
