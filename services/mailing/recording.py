"""Recording the outcome of a batch, with retries while the database is unavailable."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError

from core.access.actor import Actor
from core.database.errors import is_permanent
from core.telemetry import logger
from core.unit_of_work import UnitOfWork, Work

RETRY_SECONDS = 120.0
_PAUSE_SECONDS = 1.0
log = logger(__name__)


async def record_with_retry(
    work: Work, actor: Actor, batch_id: UUID, record: Callable[[UnitOfWork], Awaitable[None]]
) -> None:
    """Record in a transaction, with retries for two minutes.

    A batch that is not recorded by then is looked up at the provider after its lease has expired.
    """
    until = monotonic() + RETRY_SECONDS
    while True:
        try:
            async with work.begin(actor) as uow:
                await record(uow)
        except (SQLAlchemyError, OSError) as error:
            if monotonic() > until or is_permanent(error):
                raise
            log.warning("batch not recorded yet", batch_id=str(batch_id), error=type(error).__name__)
            await asyncio.sleep(_PAUSE_SECONDS)
        else:
            return
