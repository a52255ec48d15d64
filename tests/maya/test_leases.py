"""Leases of Maya's replies: one holder at a time, by the database's clock."""

import asyncio

import pytest
from sqlalchemy import Float, func, select

from core.access.actor import maya_actor
from core.leases import LeaseLost
from core.pubsub import log_topic, message_topic
from models.conversations import MayaMessage, MessageStatus
from services.conversations.reading import MessageRow
from services.conversations.work import reply_log
from services.maya import leases
from tests.maya.conftest import Chat
from tests.maya.turns import expire_lease


async def acquire(chat: Chat, reply: MessageRow) -> leases.Lease | None:
    """Try to lease the reply."""
    async with chat.runtime.work.begin(chat.actor) as uow:
        return await leases.acquire(uow, reply.id)


async def seconds_left(chat: Chat, reply: MessageRow) -> float | None:
    """How long the reply is leased; None if it is not."""
    left = func.extract("epoch", MayaMessage.lease_until - func.clock_timestamp()).cast(Float)
    rows = await chat.runtime.reads(chat.actor.tenant).rows(select(left).where(MayaMessage.id == reply.id))
    seconds: float | None = rows[0][0]
    return seconds


async def test_one_of_many_concurrent_calls_gets_the_lease(chat: Chat) -> None:
    """The others get None, and so does every call until the lease expires; then again one gets it."""
    reply = await chat.ask()
    for attempt in (1, 2):
        leases = await asyncio.gather(*(acquire(chat, reply) for _ in range(8)))
        (lease,) = [each for each in leases if each is not None]
        assert lease.attempt == attempt
        assert await acquire(chat, reply) is None
        await expire_lease(chat, reply)


async def test_renewing_extends_a_lease(chat: Chat) -> None:
    """By the database's clock, from the renewal on; also an expired lease that no other run has acquired."""
    reply = await chat.ask()
    lease = await acquire(chat, reply)
    assert lease is not None
    await expire_lease(chat, reply)
    async with chat.runtime.work.begin(chat.actor) as uow:
        await leases.renew(uow, lease, content="So far", last_sequence=1)
    left = await seconds_left(chat, reply)
    assert left is not None
    assert 0 < left <= leases.LEASE_SECONDS
    assert await acquire(chat, reply) is None


async def test_a_released_reply_can_be_leased_at_once(chat: Chat) -> None:
    """Its job is enqueued, and the previous holder has lost the lease."""
    reply = await chat.ask()
    lease = await acquire(chat, reply)
    assert lease is not None
    async with chat.runtime.work.begin(maya_actor(chat.actor)) as uow:
        await leases.release(uow, lease)
        assert list(uow.jobs) == [chat.job(reply)]
    assert await seconds_left(chat, reply) is None
    with pytest.raises(LeaseLost):
        await leases.cancel_requested(chat.runtime.reads(chat.actor.tenant), lease)
    assert await acquire(chat, reply) is not None


async def test_the_end_of_a_reply_is_published(chat: Chat) -> None:
    """For the subscribers of its log, and for an earlier run; a reply in another conversation is unchanged."""
    reply, other = await chat.ask(), await (await chat.other_conversation()).ask()
    lease = await acquire(chat, reply)
    assert lease is not None
    assert (await chat.stored(other)).status == "pending"
    ending = leases.ReplyResult(status=MessageStatus.COMPLETED, content="Done.", last_sequence=1)
    async with chat.runtime.work.begin(maya_actor(chat.actor)) as uow:
        await leases.end(uow, lease, ending)
        own = chat.actor.organization_id
        assert set(uow.signals) == {message_topic(own, reply.id), log_topic(reply_log(own, reply.id))}
    assert (await chat.stored(reply)).completed_at is not None
    assert await chat.stored(other) == other
