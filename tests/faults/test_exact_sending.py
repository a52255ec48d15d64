"""Whatever is killed, and whenever: nobody skipped, nobody mailed twice. Real processes, real servers, loopback.

`make test` kills once, where the provider has accepted what nobody has recorded; `make faults` does all of it.
"""

import asyncio
import os
import signal
from pathlib import Path

import pytest
from redis.asyncio import Redis

from tests.faults.stage import LONGER_TIMES, Show, Stage, assert_exact, open_stage, rehearse

SLOW_SECONDS = 3600  # longer than any test: what is held up then is never accepted, or answered

pytestmark = pytest.mark.faults


async def until_status(stage: Stage, show: Show, status: str) -> None:
    """Wait until a delivery of the campaign is in the status."""

    async def found() -> bool:
        return bool((await stage.statuses(show.actor, show.campaign_id)).get(status))

    await stage.until(f"a delivery is {status}", found)


async def until_accepted(stage: Stage, how_many: int) -> None:
    """Wait until the sandbox has accepted so many messages."""

    async def found() -> bool:
        return bool((await stage.summary())["accepted"] >= how_many)

    await stage.until(f"{how_many} messages are accepted", found)


async def end_exactly(stage: Stage, show: Show) -> None:
    """A fresh worker brings the campaign to its end, and the promise holds."""
    await stage.set_faults()
    stage.start_worker()
    await stage.until_finished(show.actor, show.campaign_id)
    await assert_exact(stage, show)


@pytest.mark.slow
async def test_killed_before_the_point_of_no_return(tmp_path: Path) -> None:
    """Kill -9 with a batch claimed and not submitted: its lease lapses, and another worker sends it."""
    async with open_stage(tmp_path) as stage:
        show = await rehearse(stage, recipients=120)
        # T2 has to read the suppressions, and T1 has not: here the worker stands still between the two.
        async with stage.locked("LOCK TABLE suppressions IN ACCESS EXCLUSIVE MODE"):
            stage.start_worker()
            await until_status(stage, show, "claimed")
            stage.kill_worker()
        assert (await stage.summary())["accepted"] == 0
        assert "submitting" not in await stage.statuses(show.actor, show.campaign_id)
        await end_exactly(stage, show)


@pytest.mark.slow
async def test_killed_after_the_point_of_no_return(tmp_path: Path) -> None:
    """Kill -9 with a batch submitted that the provider never took: in doubt, asked for, found absent, sent again."""
    async with open_stage(tmp_path) as stage:
        show = await rehearse(stage, recipients=120)
        await stage.set_faults(stall_before_accept={"seconds": SLOW_SECONDS})
        stage.start_worker()
        await until_status(stage, show, "submitting")
        stage.kill_worker()
        assert (await stage.summary())["accepted"] == 0
        await end_exactly(stage, show)


async def test_killed_when_accepted_but_not_answered(tmp_path: Path) -> None:
    """Kill -9 with a batch accepted and the reply not sent yet: in doubt, asked for, found, not sent again."""
    async with open_stage(tmp_path, LONGER_TIMES) as stage:
        show = await rehearse(stage, recipients=120)
        await stage.set_faults(stall_after_accept={"seconds": SLOW_SECONDS})
        stage.start_worker()
        await until_accepted(stage, 1)
        stage.kill_worker()
        assert (await stage.statuses(show.actor, show.campaign_id)).get("submitting")
        await end_exactly(stage, show)


@pytest.mark.slow
async def test_killed_when_answered_but_not_recorded(tmp_path: Path) -> None:
    """Kill -9 between the provider's reply and its record: in doubt, asked for, found, not sent again."""
    async with open_stage(tmp_path, LONGER_TIMES) as stage:
        show = await rehearse(stage, recipients=600)
        await stage.set_faults(stall_after_accept={"seconds": 1})
        stage.start_worker()
        while not await killed_before_recording(stage, show):
            pass
        await end_exactly(stage, show)


async def killed_before_recording(stage: Stage, show: Show) -> bool:
    """Kill the worker with a batch answered; False when the batch that was just accepted is recorded already."""
    await until_accepted(stage, (await stage.summary())["accepted"] + 1)
    # T3 has to change the rows, and cannot while somebody else holds them.
    async with stage.locked("SELECT 1 FROM email_deliveries WHERE status = 'submitting' FOR UPDATE") as held:
        if held:
            await stage.until("the worker waits to record", stage.somebody_waits)
            assert (await stage.statuses(show.actor, show.campaign_id)).get("submitting")
            stage.kill_worker()
    return bool(held)


@pytest.mark.slow
async def test_killed_again_and_again(tmp_path: Path) -> None:
    """Kill -9 at whatever moment it happens to be, six times over: still exact."""
    async with open_stage(tmp_path) as stage:
        show = await rehearse(stage, recipients=1_500)
        await stage.set_faults(stall_after_accept={"seconds": 0.05})
        for nap in (0.05, 0.2, 0.11, 0.31, 0.02, 0.17):
            before = (await stage.summary())["accepted"]
            stage.start_worker()
            await until_accepted(stage, min(before + 1, show.audience - 1))
            await asyncio.sleep(nap)
            stage.kill_worker()
        await end_exactly(stage, show)


@pytest.mark.slow
async def test_redis_flushed_and_restarted_in_the_middle(tmp_path: Path) -> None:
    """Redis loses everything, goes away and comes back while a campaign is sent: the same worker ends it exactly."""
    async with open_stage(tmp_path) as stage:
        show = await rehearse(stage, recipients=1_500)
        await stage.set_faults(stall_after_accept={"seconds": 0.1})
        worker = stage.start_worker()
        await until_accepted(stage, 100)
        async with Redis.from_url(stage.valkey.url) as redis:
            await redis.flushall()
        await until_accepted(stage, 300)
        stage.valkey.kill()
        await asyncio.sleep(1)
        stage.valkey.start()
        await stage.until_finished(show.actor, show.campaign_id)
        await assert_exact(stage, show)
        assert worker.poll() is None, "the worker must survive a restart of Redis"


@pytest.mark.slow
async def test_postgres_restarted_in_the_middle(tmp_path: Path) -> None:
    """PostgreSQL crashes after the provider accepted a batch and before that is recorded: exact when it is back."""
    async with open_stage(tmp_path) as stage:
        show = await rehearse(stage, recipients=800)
        await stage.set_faults(stall_after_accept={"seconds": 0.5})
        worker = stage.start_worker()
        await until_accepted(stage, 100)
        stage.postgres.kill()
        await asyncio.sleep(1)
        stage.postgres.start()
        await stage.until_finished(show.actor, show.campaign_id)
        await assert_exact(stage, show)
        assert worker.poll() is None, "the worker must survive a restart of PostgreSQL"


@pytest.mark.slow
async def test_a_worker_that_sleeps_past_its_lease(tmp_path: Path) -> None:
    """SIGSTOP with a batch under way, until another worker has settled it; woken up, the first does no harm."""
    async with open_stage(tmp_path, LONGER_TIMES) as stage:
        show = await rehearse(stage, recipients=200)
        await stage.set_faults(stall_before_accept={"seconds": 4, "count": 4})
        sleeper = stage.start_worker()
        await until_status(stage, show, "submitting")
        os.kill(sleeper.pid, signal.SIGSTOP)
        try:
            await stage.set_faults()
            stage.start_worker()
            await stage.until_finished(show.actor, show.campaign_id)
        finally:
            os.kill(sleeper.pid, signal.SIGCONT)
        await asyncio.sleep(2)
        await assert_exact(stage, show)


@pytest.mark.slow
@pytest.mark.parametrize("first", [600, -600], ids=["fast", "slow"])
async def test_workers_whose_clocks_are_ten_minutes_off(tmp_path: Path, first: int) -> None:
    """A worker ten minutes ahead and one as much behind share a campaign, and one dies with a batch: still exact.

    Leases and looks go by the database's clock. Were they a worker's own, the other's would be over, or never be.
    """
    async with open_stage(tmp_path, LONGER_TIMES) as stage:
        show = await rehearse(stage, recipients=600)
        await stage.set_faults(stall_after_accept={"seconds": 2}, server_error_before_accept={"count": 1})
        stage.start_worker(clock_off_seconds=-first)
        stage.start_worker(clock_off_seconds=first)
        await until_accepted(stage, 150)
        assert (await stage.statuses(show.actor, show.campaign_id)).get("submitting")
        stage.kill_worker()
        await stage.until_finished(show.actor, show.campaign_id)
        await assert_exact(stage, show)


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["server_error_after_accept", "cut_reply", "unreadable_reply", "half_batch"])
async def test_a_provider_that_lies(tmp_path: Path, fault: str) -> None:
    """The provider accepts and says otherwise, a few times: those messages are asked for, not sent again."""
    async with open_stage(tmp_path) as stage:
        show = await rehearse(stage, recipients=300)
        await stage.set_faults(**{fault: {"count": 3}})
        stage.start_worker()
        await stage.until_finished(show.actor, show.campaign_id)
        await assert_exact(stage, show)
