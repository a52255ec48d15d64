"""Looking up messages in doubt: the provider's records are searched for those that it has accepted."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from time import monotonic
from typing import NamedTuple
from uuid import UUID

from core.access.actor import Actor
from core.telemetry import describe_error, logger
from core.unit_of_work import UnitOfWork, Work
from integrations.mail import Mailer, SearchFailed, Stream

MAX_LOOKUPS = 3
"""Lookups, spread over the grace period, after which a message that none of them found counts as not sent."""
_MAX_BATCHES_PER_ROUND = 100
_ROUND_SECONDS = 20.0
"""A round starts no further search after this time, so that it does not delay those of other campaigns."""
RESERVED_SECONDS = 60.0
"""How long a message is reserved for the worker that looks it up."""
WORKER_STOPPED = "The worker stopped while the message was being submitted."
log = logger(__name__)


class UnknownMessage(NamedTuple):
    """A reserved message with its row's values: a lookup is recorded only if the row still has them."""

    id: UUID
    lookups: int
    due_at: datetime


class Lookup(NamedTuple):
    """The reserved messages of one batch, which are looked up together."""

    batch_id: UUID
    rows: Sequence[UnknownMessage]


_Reserve = Callable[[UnitOfWork, Sequence[UUID]], Awaitable[Lookup | None]]
"""Reserves the due messages of one batch that is not among the given batch ids; None when there is none."""
_Record = Callable[[UnitOfWork, Lookup, Mapping[str, str]], Awaitable[None]]
"""Records a lookup; the mapping has the provider's message id of each delivery id that was found."""


async def look_up(
    work: Work,
    mailer: Mailer,
    actor: Actor,
    *,
    stream: Stream,
    reserve: _Reserve,
    record: _Record,
    within_seconds: float = _ROUND_SECONDS,
) -> int:
    """Look up one batch after the other; returns how many messages were looked up.

    The round ends early at a failed search, because the next one would fail or wait as well, and after
    `within_seconds`.
    """
    looked_up: list[UUID] = []
    total = 0
    until = monotonic() + within_seconds
    while len(looked_up) < _MAX_BATCHES_PER_ROUND and monotonic() < until:
        # Reserved right before its search: searches may be slow, and a reservation expires.
        async with work.begin(actor) as uow:
            lookup = await reserve(uow, looked_up)
        if lookup is None:
            break
        looked_up.append(lookup.batch_id)
        try:
            message_ids = await mailer.search_batch(str(lookup.batch_id), stream)
        except SearchFailed as error:
            log.warning(
                "batch lookup failed, will be retried", batch_id=str(lookup.batch_id), error=describe_error(error)
            )
            break
        async with work.begin(actor) as uow:
            await record(uow, lookup, message_ids)
        total += len(lookup.rows)
    return total
