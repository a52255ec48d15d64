"""A worker is killed in the middle of sending system mail: each message is accepted once. Real processes."""

from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import select

from core.access.actor import Actor
from models.outbox import OutboxMessage
from services.senders import changing
from tests import factories
from tests.faults.stage import LONGER_TIMES, Stage, open_stage

MESSAGES = 30
SLOW_SECONDS = 3_600  # longer than any test: what is held up then is never accepted, or answered

pytestmark = pytest.mark.faults


async def ask(stage: Stage) -> Actor:
    """An organisation that has just added senders, each of which waits for its confirmation."""
    actor = await factories.organization(stage.runtime)
    policy = stage.runtime.sender_policy
    for number in range(MESSAGES):
        async with stage.runtime.work.begin(actor) as uow:
            await changing.create(uow, policy, *changing.check_sender(policy, f"sender-{number}@example.com", "Acme"))
    return actor


async def statuses(stage: Stage, actor: Actor) -> Counter[str]:
    """How many messages are in each status."""
    rows = await stage.runtime.reads(actor.tenant).rows(select(OutboxMessage.status))
    return Counter(row.status for row in rows)


async def until_status(stage: Stage, actor: Actor, status: str, how_many: int = 1) -> None:
    """Wait until so many messages are in the status."""

    async def found() -> bool:
        return (await statuses(stage, actor))[status] >= how_many

    await stage.until(f"{how_many} messages are {status}", found)


async def end_exactly(stage: Stage, actor: Actor) -> None:
    """A fresh worker sends the rest: every address has one message, and no more."""
    await stage.set_faults()
    stage.start_worker()
    await until_status(stage, actor, "accepted", MESSAGES)
    mailboxes = await stage.recipients()
    assert sorted(mailboxes) == sorted(f"sender-{number}@example.com" for number in range(MESSAGES))


@pytest.mark.slow
async def test_killed_when_accepted_but_not_answered(tmp_path: Path) -> None:
    """Kill -9 with messages accepted and the reply not sent yet: in doubt, asked for, found, not sent again."""
    async with open_stage(tmp_path, LONGER_TIMES) as stage:
        actor = await ask(stage)
        await stage.set_faults(stall_after_accept={"seconds": SLOW_SECONDS})
        stage.start_worker()

        async def accepted() -> bool:
            return bool((await stage.summary())["accepted"])

        await stage.until("a message is accepted", accepted)
        stage.kill_worker()
        assert (await statuses(stage, actor))["submitting"]
        await end_exactly(stage, actor)


@pytest.mark.slow
async def test_killed_after_the_point_of_no_return(tmp_path: Path) -> None:
    """Kill -9 with messages submitted that the provider never took: asked for, found absent, sent again."""
    async with open_stage(tmp_path, LONGER_TIMES) as stage:
        actor = await ask(stage)
        await stage.set_faults(stall_before_accept={"seconds": SLOW_SECONDS})
        stage.start_worker()
        await until_status(stage, actor, "submitting")
        stage.kill_worker()
        assert (await stage.summary())["accepted"] == 0
        await end_exactly(stage, actor)


@pytest.mark.slow
async def test_killed_before_the_point_of_no_return(tmp_path: Path) -> None:
    """Kill -9 with messages claimed in a transaction that does not end: they are as pending as before."""
    async with open_stage(tmp_path) as stage:
        actor = await ask(stage)
        # Composing a confirmation writes its token: here the worker stands still between claim and submission.
        async with stage.locked("LOCK TABLE sender_confirmations IN ACCESS EXCLUSIVE MODE"):
            stage.start_worker()
            await stage.until("the worker waits to compose", stage.somebody_waits)
            stage.kill_worker()
        assert set(await statuses(stage, actor)) == {"pending"}
        assert (await stage.summary())["accepted"] == 0
        await end_exactly(stage, actor)


@pytest.mark.slow
async def test_killed_when_answered_but_not_recorded(tmp_path: Path) -> None:
    """Kill -9 between the provider's reply and its record: in doubt, asked for, found, not sent again."""
    async with open_stage(tmp_path, LONGER_TIMES) as stage:
        actor = await ask(stage)
        await stage.set_faults(stall_after_accept={"seconds": 1})
        stage.start_worker()
        await until_status(stage, actor, "submitting")
        async with stage.locked("SELECT 1 FROM outbox WHERE status = 'submitting' FOR UPDATE") as held:
            assert held
            await stage.until("the worker waits to record", stage.somebody_waits)
            stage.kill_worker()
        assert (await stage.summary())["accepted"]
        await end_exactly(stage, actor)
