"""A worker is killed while it sends system mail: each message is accepted exactly once."""

from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import select

from core.access.actor import Actor
from models.outbox import OutboxMessage
from services.senders import changing
from tests import factories
from tests.faults.environment import LONGER_TIMES, FaultEnvironment, fault_environment

MESSAGES = 30
SLOW_SECONDS = 3_600  # longer than any test, so that a stalled request never completes

pytestmark = pytest.mark.faults


async def create_senders(env: FaultEnvironment) -> Actor:
    """Create an organization with new senders, each of which waits for its confirmation message."""
    actor = await factories.organization(env.runtime)
    policy = env.runtime.sender_policy
    for number in range(MESSAGES):
        async with env.runtime.work.begin(actor) as uow:
            await changing.create(uow, policy, *changing.check_sender(policy, f"sender-{number}@example.com", "Acme"))
    return actor


async def statuses(env: FaultEnvironment, actor: Actor) -> Counter[str]:
    """How many messages are in each status."""
    rows = await env.runtime.reads(actor.tenant).rows(select(OutboxMessage.status))
    return Counter(row.status for row in rows)


async def until_status(env: FaultEnvironment, actor: Actor, status: str, how_many: int = 1) -> None:
    """Wait until so many messages are in the status."""

    async def condition() -> bool:
        return (await statuses(env, actor))[status] >= how_many

    await env.until(f"{how_many} messages are {status}", condition)


async def finish_and_check(env: FaultEnvironment, actor: Actor) -> None:
    """Clear the faults, let a new worker send the rest, and check that every address got exactly one message."""
    await env.set_faults()
    env.start_worker()
    await until_status(env, actor, "accepted", MESSAGES)
    mailboxes = await env.recipients()
    assert sorted(mailboxes) == sorted(f"sender-{number}@example.com" for number in range(MESSAGES))


@pytest.mark.slow
async def test_killed_before_the_response(tmp_path: Path) -> None:
    """Kill -9 with messages accepted before the response arrives: they are looked up, found, and not sent again."""
    async with fault_environment(tmp_path, LONGER_TIMES) as env:
        actor = await create_senders(env)
        await env.set_faults(stall_after_accept={"seconds": SLOW_SECONDS})
        env.start_worker()

        async def accepted() -> bool:
            return bool((await env.summary())["accepted"])

        await env.until("a message is accepted", accepted)
        env.kill_worker()
        assert (await statuses(env, actor))["submitting"]
        await finish_and_check(env, actor)


@pytest.mark.slow
async def test_killed_while_submitting(tmp_path: Path) -> None:
    """Kill -9 with messages submitted that the provider never accepted: looked up, not found, and sent again."""
    async with fault_environment(tmp_path, LONGER_TIMES) as env:
        actor = await create_senders(env)
        await env.set_faults(stall_before_accept={"seconds": SLOW_SECONDS})
        env.start_worker()
        await until_status(env, actor, "submitting")
        env.kill_worker()
        assert (await env.summary())["accepted"] == 0
        await finish_and_check(env, actor)


@pytest.mark.slow
async def test_killed_after_claiming(tmp_path: Path) -> None:
    """Kill -9 with messages claimed in an open transaction: it is rolled back, and they are pending again."""
    async with fault_environment(tmp_path) as env:
        actor = await create_senders(env)
        # Composing a confirmation writes its token, so the lock blocks the worker between claim and submission.
        async with env.locked("LOCK TABLE sender_confirmations IN ACCESS EXCLUSIVE MODE"):
            env.start_worker()
            await env.until("the worker waits to compose", env.is_lock_awaited)
            env.kill_worker()
        assert set(await statuses(env, actor)) == {"pending"}
        assert (await env.summary())["accepted"] == 0
        await finish_and_check(env, actor)


@pytest.mark.slow
async def test_killed_before_recording(tmp_path: Path) -> None:
    """Kill -9 after the provider's response and before it is recorded: looked up, found, and not sent again."""
    async with fault_environment(tmp_path, LONGER_TIMES) as env:
        actor = await create_senders(env)
        await env.set_faults(stall_after_accept={"seconds": 1})
        env.start_worker()
        await until_status(env, actor, "submitting")
        async with env.locked("SELECT 1 FROM outbox WHERE status = 'submitting' FOR UPDATE") as rows:
            assert rows
            await env.until("the worker waits to record", env.is_lock_awaited)
            env.kill_worker()
        assert (await env.summary())["accepted"]
        await finish_and_check(env, actor)
