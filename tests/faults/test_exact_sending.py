"""Crashes of a worker, Redis or PostgreSQL while a campaign is sent: no contact is skipped or mailed twice.

`make test` runs one case: the worker is killed after the provider accepted a batch and before the worker records it.
`make faults` runs all.
"""

import asyncio
import os
import signal
from pathlib import Path

import pytest
from redis.asyncio import Redis

from tests.faults.environment import (
    LONGER_TIMES,
    FaultEnvironment,
    PreparedCampaign,
    assert_exact,
    fault_environment,
    prepare_campaign,
)

SLOW_SECONDS = 3600  # longer than any test, so that a stalled request never completes

pytestmark = pytest.mark.faults


async def until_status(env: FaultEnvironment, campaign: PreparedCampaign, status: str) -> None:
    """Wait until a delivery of the campaign is in the status."""

    async def condition() -> bool:
        return bool((await env.statuses(campaign.actor, campaign.campaign_id)).get(status))

    await env.until(f"a delivery is {status}", condition)


async def until_accepted(env: FaultEnvironment, how_many: int) -> None:
    """Wait until the sandbox has accepted so many messages."""

    async def condition() -> bool:
        return bool((await env.summary())["accepted"] >= how_many)

    await env.until(f"{how_many} messages are accepted", condition)


async def finish_and_check(env: FaultEnvironment, campaign: PreparedCampaign) -> None:
    """Clear the faults, let a new worker finish the campaign, and check the result."""
    await env.set_faults()
    env.start_worker()
    await env.until_finished(campaign.actor, campaign.campaign_id)
    await assert_exact(env, campaign)


@pytest.mark.slow
async def test_killed_after_claiming(tmp_path: Path) -> None:
    """Kill -9 with a batch claimed and not submitted: its lease expires, and another worker sends it."""
    async with fault_environment(tmp_path) as env:
        campaign = await prepare_campaign(env, recipients=120)
        # T2 reads the suppressions and T1 does not, so the lock blocks the worker between the two.
        async with env.locked("LOCK TABLE suppressions IN ACCESS EXCLUSIVE MODE"):
            env.start_worker()
            await until_status(env, campaign, "claimed")
            env.kill_worker()
        assert (await env.summary())["accepted"] == 0
        assert "submitting" not in await env.statuses(campaign.actor, campaign.campaign_id)
        await finish_and_check(env, campaign)


@pytest.mark.slow
async def test_killed_while_submitting(tmp_path: Path) -> None:
    """Kill -9 with a batch submitted that the provider never accepted: it is looked up, not found, and sent again."""
    async with fault_environment(tmp_path) as env:
        campaign = await prepare_campaign(env, recipients=120)
        await env.set_faults(stall_before_accept={"seconds": SLOW_SECONDS})
        env.start_worker()
        await until_status(env, campaign, "submitting")
        env.kill_worker()
        assert (await env.summary())["accepted"] == 0
        await finish_and_check(env, campaign)


async def test_killed_before_the_response(tmp_path: Path) -> None:
    """Kill -9 with a batch accepted before the response arrives: it is looked up, found, and not sent again."""
    async with fault_environment(tmp_path, LONGER_TIMES) as env:
        campaign = await prepare_campaign(env, recipients=120)
        await env.set_faults(stall_after_accept={"seconds": SLOW_SECONDS})
        env.start_worker()
        await until_accepted(env, 1)
        env.kill_worker()
        assert (await env.statuses(campaign.actor, campaign.campaign_id)).get("submitting")
        await finish_and_check(env, campaign)


@pytest.mark.slow
async def test_killed_before_recording(tmp_path: Path) -> None:
    """Kill -9 after the provider's response and before it is recorded: looked up, found, and not sent again."""
    async with fault_environment(tmp_path, LONGER_TIMES) as env:
        campaign = await prepare_campaign(env, recipients=600)
        await env.set_faults(stall_after_accept={"seconds": 1})
        env.start_worker()
        while not await killed_before_recording(env, campaign):
            pass
        await finish_and_check(env, campaign)


async def killed_before_recording(env: FaultEnvironment, campaign: PreparedCampaign) -> bool:
    """Kill the worker between a response and its record.

    Returns:
        False if the batch that was just accepted is already recorded; the worker then still runs.
    """
    await until_accepted(env, (await env.summary())["accepted"] + 1)
    # T3 updates the rows, so the lock blocks it.
    async with env.locked("SELECT 1 FROM email_deliveries WHERE status = 'submitting' FOR UPDATE") as rows:
        if rows:
            await env.until("the worker waits to record", env.is_lock_awaited)
            assert (await env.statuses(campaign.actor, campaign.campaign_id)).get("submitting")
            env.kill_worker()
    return bool(rows)


@pytest.mark.slow
async def test_killed_repeatedly(tmp_path: Path) -> None:
    """Kill -9 six times, at arbitrary moments: the result is still exact."""
    async with fault_environment(tmp_path) as env:
        campaign = await prepare_campaign(env, recipients=1_500)
        await env.set_faults(stall_after_accept={"seconds": 0.05})
        for delay in (0.05, 0.2, 0.11, 0.31, 0.02, 0.17):
            before = (await env.summary())["accepted"]
            env.start_worker()
            await until_accepted(env, min(before + 1, campaign.audience - 1))
            await asyncio.sleep(delay)
            env.kill_worker()
        await finish_and_check(env, campaign)


@pytest.mark.slow
async def test_redis_flushed_and_restarted(tmp_path: Path) -> None:
    """Redis loses all data, stops and restarts while a campaign is sent: the same worker finishes it exactly."""
    async with fault_environment(tmp_path) as env:
        campaign = await prepare_campaign(env, recipients=1_500)
        await env.set_faults(stall_after_accept={"seconds": 0.1})
        worker = env.start_worker()
        await until_accepted(env, 100)
        async with Redis.from_url(env.valkey.url) as redis:
            await redis.flushall()
        await until_accepted(env, 300)
        env.valkey.kill()
        await asyncio.sleep(1)
        env.valkey.start()
        await env.until_finished(campaign.actor, campaign.campaign_id)
        await assert_exact(env, campaign)
        assert worker.poll() is None, "the worker must survive a restart of Redis"


@pytest.mark.slow
async def test_postgres_restarted(tmp_path: Path) -> None:
    """PostgreSQL crashes after the provider accepted a batch and before it is recorded: the result is still exact."""
    async with fault_environment(tmp_path) as env:
        campaign = await prepare_campaign(env, recipients=800)
        await env.set_faults(stall_after_accept={"seconds": 0.5})
        worker = env.start_worker()
        await until_accepted(env, 100)
        env.postgres.kill()
        await asyncio.sleep(1)
        env.postgres.start()
        await env.until_finished(campaign.actor, campaign.campaign_id)
        await assert_exact(env, campaign)
        assert worker.poll() is None, "the worker must survive a restart of PostgreSQL"


@pytest.mark.slow
async def test_worker_suspended_past_its_lease(tmp_path: Path) -> None:
    """SIGSTOP during a batch until another worker has finished it: when continued, the first sends nothing again."""
    async with fault_environment(tmp_path, LONGER_TIMES) as env:
        campaign = await prepare_campaign(env, recipients=200)
        await env.set_faults(stall_before_accept={"seconds": 4, "count": 4})
        suspended = env.start_worker()
        await until_status(env, campaign, "submitting")
        os.kill(suspended.pid, signal.SIGSTOP)
        try:
            await env.set_faults()
            env.start_worker()
            await env.until_finished(campaign.actor, campaign.campaign_id)
        finally:
            os.kill(suspended.pid, signal.SIGCONT)
        await asyncio.sleep(2)
        await assert_exact(env, campaign)


@pytest.mark.slow
@pytest.mark.parametrize("offset", [600, -600], ids=["fast", "slow"])
async def test_worker_clocks_ten_minutes_off(tmp_path: Path, offset: int) -> None:
    """One worker's clock is ten minutes fast, the other's slow, and one is killed: the result is still exact.

    Leases and look-ups use the database's clock. With a worker's own clock, leases would expire at once, or never.
    """
    async with fault_environment(tmp_path, LONGER_TIMES) as env:
        campaign = await prepare_campaign(env, recipients=600)
        await env.set_faults(stall_after_accept={"seconds": 2}, server_error_before_accept={"count": 1})
        env.start_worker(clock_offset_seconds=-offset)
        env.start_worker(clock_offset_seconds=offset)
        await until_accepted(env, 150)
        assert (await env.statuses(campaign.actor, campaign.campaign_id)).get("submitting")
        env.kill_worker()
        await env.until_finished(campaign.actor, campaign.campaign_id)
        await assert_exact(env, campaign)


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["server_error_after_accept", "cut_reply", "unreadable_reply", "half_batch"])
async def test_misleading_responses(tmp_path: Path, fault: str) -> None:
    """The provider accepts messages and responds with an error: they are looked up, and not sent again."""
    async with fault_environment(tmp_path) as env:
        campaign = await prepare_campaign(env, recipients=300)
        await env.set_faults(**{fault: {"count": 3}})
        env.start_worker()
        await env.until_finished(campaign.actor, campaign.campaign_id)
        await assert_exact(env, campaign)
