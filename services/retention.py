"""What nobody needs any more: expired idempotency keys, sessions and tokens long over, events applied long ago."""

from typing import Final

from sqlalchemy import func, select

from core.database.scopes import SystemScope

AT_ONCE: Final = 10_000
"""Rows of a kind in one transaction, so that none is long."""


async def delete_expired(system: SystemScope, *, at_once: int = AT_ONCE) -> int:
    """Delete, in all organisations, what has expired; how many rows. The policies of the tables say what that is.

    Idempotency keys and confirmations go when their time is over, the others 30 days after their end.
    """
    total = 0
    for forget in (func.system.forget_expired(at_once), func.system.forget_mail(at_once)):
        while forgotten := int((await system.rows(select(forget)))[0][0]):
            total += forgotten
    return total
