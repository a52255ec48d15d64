"""The sweep that deletes expired rows."""

from core.telemetry import logger
from jobs.sweeper import sweep
from jobs.worker import Worker
from services.retention import delete_expired

DAY_SECONDS = 86_400.0
log = logger(__name__)


async def delete(worker: Worker) -> bool:
    """Delete expired rows of all organizations; returns whether there may be more."""
    deleted = await delete_expired(worker.runtime.system)
    log.info("expired rows deleted", rows=deleted.rows, more=deleted.more)
    return deleted.more


SWEEPS = (sweep(delete, name="delete expired rows", every=DAY_SECONDS),)
