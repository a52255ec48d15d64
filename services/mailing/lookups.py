"""Asking the provider about messages of which nobody knows whether they were sent."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from time import monotonic
from typing import NamedTuple
from uuid import UUID

from core.access.actor import Actor
from core.telemetry import describe_error, logger
from core.unit_of_work import UnitOfWork, Work
from integrations.mail import Mailer, SearchFailed, Stream

LOOKUPS = 3
"""Lookups without a trace, spread evenly over the grace period, after which a message counts as absent."""
BATCHES_A_ROUND = 100
ROUND_SECONDS = 20.0
"""After so long no further batch of a round is asked about: others wait for their turn."""
RESERVED_SECONDS = 60.0
"""How long nobody else looks up a message that is being looked up."""
LOST_WORKER = "The worker stopped while the message was on its way."
log = logger(__name__)


class UnknownMessage(NamedTuple):
    """A reserved message, and what its row said then: a lookup counts only while it still says so."""

    id: UUID
    lookups: int
    due_at: datetime


class Lookup(NamedTuple):
    """The messages of one batch that are reserved to be looked up."""

    batch_id: UUID
    rows: Sequence[UnknownMessage]


Reserve = Callable[[UnitOfWork, Sequence[UUID]], Awaitable[Lookup | None]]
"""Reserves the due messages of a batch other than those asked about; None when there is none."""
Settle = Callable[[UnitOfWork, Lookup, Mapping[str, str]], Awaitable[None]]


async def look_up(
    work: Work,
    mailer: Mailer,
    actor: Actor,
    *,
    stream: Stream,
    reserve: Reserve,
    settle: Settle,
    within_seconds: float = ROUND_SECONDS,
) -> int:
    """Ask about one batch after the other; how many messages were looked up.

    A search that fails ends the round, as the next would wait for the same provider; so does the time.
    """
    asked: list[UUID] = []
    total = 0
    until = monotonic() + within_seconds
    while len(asked) < BATCHES_A_ROUND and monotonic() < until:
        # One batch at a time, right before the search: the search may be slow, and the reservation does not wait.
        async with work.begin(actor) as uow:
            lookup = await reserve(uow, asked)
        if lookup is None:
            break
        asked.append(lookup.batch_id)
        try:
            found = await mailer.find(str(lookup.batch_id), stream)
        except SearchFailed as error:
            log.warning(
                "no answer about a batch, asking again later",
                batch_id=str(lookup.batch_id),
                error=describe_error(error),
            )
            break
        async with work.begin(actor) as uow:
            await settle(uow, lookup, found)
        total += len(lookup.rows)
    return total
