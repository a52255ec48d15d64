"""A lease of one row, as Maya's replies have it: one holder at a time, by the database's clock."""

import asyncio

import pytest
from sqlalchemy import Float, func, select

from core.access.actor import maya_actor
from core.leases import LeaseLost
from core.pubsub import log_topic, message_topic
from models.conversations import Message, MessageStatus
from services.conversations.reading import MessageRow
from services.conversations.work import reply_log
from services.maya import leases
from tests.maya.acting import expire_lease
from tests.maya.conftest import Stage


async def taken(stage: Stage, reply: MessageRow) -> leases.Lease | None:
    """Try to take the reply."""
    async with stage.runtime.work.begin(stage.actor) as uow:
        return await leases.take(uow, reply.id)


async def seconds_left(stage: Stage, reply: MessageRow) -> float | None:
    """How long the reply is leased; None when nobody has it."""
    left = func.extract("epoch", Message.lease_until - func.clock_timestamp()).cast(Float)
    rows = await stage.runtime.reads(stage.actor.tenant).rows(select(left).where(Message.id == reply.id))
    found: float | None = rows[0][0]
    return found


async def test_of_many_who_take_a_row_at_once_one_gets_it(stage: Stage) -> None:
    """The others get nothing, and nobody does until its lease has expired; then again one alone."""
    reply = await stage.ask()
    for attempt in (1, 2):
        found = await asyncio.gather(*(taken(stage, reply) for _ in range(8)))
        (lease,) = [each for each in found if each is not None]
        assert lease.attempt == attempt
        assert await taken(stage, reply) is None
        await expire_lease(stage, reply)


async def test_a_lease_is_kept_by_renewing_it(stage: Stage) -> None:
    """From the moment of the renewal on, by the database's clock; also one that is over and that nobody has taken."""
    reply = await stage.ask()
    lease = await taken(stage, reply)
    assert lease is not None
    await expire_lease(stage, reply)
    async with stage.runtime.work.begin(stage.actor) as uow:
        await leases.renew(uow, lease, content="So far", last_sequence=1)
    left = await seconds_left(stage, reply)
    assert left is not None
    assert 0 < left <= leases.LEASE_SECONDS
    assert await taken(stage, reply) is None


async def test_a_row_that_is_given_back_is_free(stage: Stage) -> None:
    """At once, for which its job is enqueued, and for another token: the holder from before has lost it."""
    reply = await stage.ask()
    lease = await taken(stage, reply)
    assert lease is not None
    async with stage.runtime.work.begin(maya_actor(stage.actor)) as uow:
        await leases.release(uow, lease)
        assert list(uow.jobs) == [stage.job(reply)]
    assert await seconds_left(stage, reply) is None
    with pytest.raises(LeaseLost):
        await leases.cancel_requested(stage.runtime.reads(stage.actor.tenant), lease)
    assert await taken(stage, reply) is not None


async def test_who_ends_a_reply_tells_its_viewers(stage: Stage) -> None:
    """Those who wait for its log, and the run that had it before; a reply beside it stays as it was."""
    reply, beside = await stage.ask(), await (await stage.beside()).ask()
    lease = await taken(stage, reply)
    assert lease is not None
    assert (await stage.stored(beside)).status == "pending"
    ending = leases.Ending(status=MessageStatus.COMPLETED, content="Done.", last_sequence=1)
    async with stage.runtime.work.begin(maya_actor(stage.actor)) as uow:
        await leases.end(uow, lease, ending)
        own = stage.actor.organization_id
        assert set(uow.events) == {message_topic(own, reply.id), log_topic(reply_log(own, reply.id))}
    assert (await stage.stored(reply)).completed_at is not None
    assert await stage.stored(beside) == beside
