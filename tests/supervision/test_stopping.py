"""A worker that is stopped claims nothing more, lets running work finish within its time, and always ends."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import update

from cancellation.tasks import cancel_and_wait
from core.access.actor import Actor
from core.database.scopes import SystemScope
from core.ids import new_id
from execution.run import gather_or_cancel
from jobs import JOBS, campaigns, run
from jobs.consumer import consume
from jobs.sweeper import Sweeper
from jobs.tasks import KeyedTasks, TaskKind
from jobs.worker import Worker, build_worker, handles
from models.campaigns import CampaignStatus
from models.deliveries import DeliveryStatus, EmailDelivery
from runtime import Runtime, running
from services.deliveries.sending import CampaignSender
from services.mailing.pacing import reserve
from services.webhooks.work import ApplyEvents
from settings import Settings
from tests.conftest import Servers, copy_template, settings_for
from tests.deliveries.conftest import Provider, provider, rate_limited_mailer, sender_for, shared_provider
from tests.deliveries.worker import progress, sending
from tests.realtime.valkey_server import ValkeyServer
from tests.waiting import WAIT_SECONDS, until

__all__ = ["provider", "shared_provider"]


async def forever() -> None:
    await asyncio.Event().wait()


async def slow_to_end(events: list[str], seconds: float) -> None:
    """Run until cancelled, then clean up for `seconds`."""
    try:
        await forever()
    finally:
        await asyncio.sleep(seconds)
        events.append("cleaned up")


async def test_a_cancelled_task_may_clean_up() -> None:
    """A task that is cancelled because it did not end in time has some seconds for its clean-up."""
    tasks, events = KeyedTasks(), list[str]()
    tasks.start("slow", lambda: slow_to_end(events, 1.2))
    await asyncio.sleep(0)
    await tasks.aclose(0.0)
    assert events == ["cleaned up"]
    assert tasks.tasks == {}


async def test_a_task_that_loses_its_cancellation_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is cancelled again, until it has ended."""
    monkeypatch.setattr("jobs.tasks._CANCEL_SECONDS", 0.1)
    lost: list[str] = []

    async def losing() -> None:
        while len(lost) < 2:
            try:
                await forever()
            except asyncio.CancelledError:
                lost.append("a cancellation")
        await forever()

    tasks = KeyedTasks()
    tasks.start("losing", losing)
    await asyncio.sleep(0)
    await asyncio.wait_for(tasks.aclose(0.0), WAIT_SECONDS)
    assert (len(lost), tasks.tasks) == (2, {})


async def test_nothing_is_started_while_tasks_close() -> None:
    """No new task is started, nor a second run of a running one; running tasks may finish."""
    tasks, done = KeyedTasks(), list[str]()
    going = asyncio.Event()

    async def work(name: str) -> None:
        await going.wait()
        done.append(name)

    tasks.start("one", lambda: work("one"))
    await asyncio.sleep(0)
    tasks.start("one", lambda: work("one again"))
    closing = asyncio.create_task(tasks.aclose(WAIT_SECONDS))
    await asyncio.sleep(0)
    tasks.start("one", lambda: work("one, a third time"))
    tasks.start("two", lambda: work("two"))
    going.set()
    await closing
    assert (done, tasks.tasks) == (["one"], {})


async def test_a_task_that_waits_for_a_slot_does_not_start_while_tasks_close() -> None:
    """Running tasks may finish; waiting ones are left to the next process."""
    tasks, done, kind = KeyedTasks(), list[str](), TaskKind("one at a time", 1)
    going = asyncio.Event()

    async def work(name: str) -> None:
        await going.wait()
        done.append(name)

    tasks.start("one", lambda: work("one"), kind=kind)
    tasks.start("two", lambda: work("two"), kind=kind)
    await asyncio.sleep(0)
    closing = asyncio.create_task(tasks.aclose(WAIT_SECONDS))
    await asyncio.sleep(0)
    going.set()
    await closing
    assert (done, tasks.tasks) == (["one"], {})


@pytest.fixture
def slow_account(runtime: Runtime, provider: Provider) -> CampaignSender:
    """A sender of an account that may send one message a second."""
    sender = sender_for(runtime, provider)
    sender.mailer = rate_limited_mailer(provider, 1)
    return sender


@pytest.mark.parametrize("reason", ["backoff", "rate limit"])
async def test_a_waiting_send_loop_claims_nothing_after_a_stop(
    runtime: Runtime, provider: Provider, slow_account: CampaignSender, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stop ends the wait immediately, whether for the provider's Retry-After or for the account's rate limit."""
    actor, _, campaign_id = await sending(runtime, 3)
    sender = sender_for(runtime, provider) if reason == "backoff" else slow_account
    if reason == "backoff":
        sender.backoff.fail(300.0)
    if reason == "rate limit":
        await sender.reserve(30)
    reserved: list[int] = []

    async def noted(system: SystemScope, account: str, messages: int, per_second: float) -> float:
        reserved.append(messages)
        return await reserve(system, account, messages, per_second)

    monkeypatch.setattr("services.deliveries.sending.reserve", noted)
    sender.add(actor.organization_id, campaign_id)
    loop = asyncio.create_task(sender.send_loop())
    await until(lambda: is_sleeping(loop))
    sender.stop()
    await asyncio.wait_for(loop, WAIT_SECONDS)
    assert await provider.messages(campaign_id) == []
    assert reserved == ([] if reason == "backoff" else [1, -1])  # the batch's reservation was released
    fresh = sender_for(runtime, provider)
    assert (await fresh.send_batch(actor, campaign_id)).claimed == 3
    if reason == "rate limit":
        await slow_account.reserve(-30)


async def is_sleeping(task: asyncio.Task[Any]) -> bool:
    """Whether a send loop sleeps until it is stopped or its wait is over."""
    awaited: Any = task.get_coro()
    while hasattr(awaited, "cr_await"):
        if awaited.__name__ == "sleep_unless":
            return True
        awaited = awaited.cr_await
    return False


@pytest.fixture
async def valkey(tmp_path: Path) -> AsyncIterator[ValkeyServer]:
    server = ValkeyServer(tmp_path)
    await server.start()
    yield server
    server.kill()


@asynccontextmanager
async def worker(runtime: Runtime) -> AsyncIterator[tuple[asyncio.Task[None], asyncio.Event]]:
    """A worker's task, and the event that stops it."""
    stopping = asyncio.Event()
    task = asyncio.create_task(run(runtime, stopping))
    try:
        yield task, stopping
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_a_worker_ends_while_redis_does_not_answer(servers: Servers, valkey: ValkeyServer) -> None:
    """A worker connected to a Redis that no longer answers ends in time when it is stopped."""
    settings = own_settings(await copy_template(servers), servers, valkey)
    async with running(settings) as own, worker(own) as (task, stopping):
        await until(lambda: is_consuming(own))
        valkey.freeze()
        stopping.set()
        done, _ = await asyncio.wait([task], timeout=WAIT_SECONDS)
        valkey.thaw()
        assert done == {task}
        await task


@pytest.fixture
async def unretrieved() -> AsyncIterator[list[dict[str, Any]]]:
    """The errors of tasks that were never retrieved."""
    contexts: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: contexts.append(context))
    yield contexts
    loop.set_exception_handler(None)


@pytest.mark.parametrize("way", ["stopped", "cancelled"])
async def test_arqs_shielded_end_of_a_job_is_cancelled_in_the_end(
    servers: Servers, valkey: ValkeyServer, unretrieved: list[dict[str, Any]], way: str
) -> None:
    """Arq shields the end of a job from cancellation: after a second it is ended nevertheless."""
    async with running(own_settings(await copy_template(servers), servers, valkey)) as own:
        stopping, frozen = asyncio.Event(), asyncio.Event()

        def freeze(_: Worker, __: ApplyEvents) -> None:
            valkey.freeze()
            frozen.set()

        before = asyncio.all_tasks()
        consuming = asyncio.create_task(consume(build_worker(own, [handles(ApplyEvents, freeze)]), stopping))
        await own.queue.enqueue(ApplyEvents(organization_id=new_id()))
        await asyncio.wait_for(frozen.wait(), WAIT_SECONDS)
        await until(lambda: is_finishing(before))
        if way == "stopped":
            stopping.set()
            await asyncio.wait_for(consuming, WAIT_SECONDS)
        else:
            await cancel_and_wait([consuming])
        left = {task for task in asyncio.all_tasks() - before if not task.get_name().startswith("pubsub")}
        valkey.thaw()
        assert left == set()
    gc.collect()
    assert unretrieved == []


async def is_finishing(before: set[asyncio.Task[Any]]) -> bool:
    """Whether arq has started to finish a job."""
    return any("finish_job" in repr(task.get_coro()) for task in asyncio.all_tasks() - before)


def own_settings(database: str, servers: Servers, valkey: ValkeyServer) -> Settings:
    """Settings with a database and a Redis for this test only."""
    settings = settings_for(servers, database)
    return settings.model_copy(update={"redis": type(settings.redis).model_validate({"url": valkey.url})})


async def test_arqs_worker_ends_by_itself(
    servers: Servers, valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While Redis answers, arq's worker is not cancelled, which may leak connections: it ends between two polls."""
    monkeypatch.setattr("jobs.consumer.CLOSE_SECONDS", 100 * WAIT_SECONDS)
    async with running(own_settings(await copy_template(servers), servers, valkey)) as own:
        stopping = asyncio.Event()
        consuming = asyncio.create_task(consume(build_worker(own, JOBS), stopping))
        await until(lambda: is_consuming(own))
        stopping.set()
        await asyncio.wait_for(consuming, WAIT_SECONDS)


async def test_a_sweep_ends_between_campaigns(fresh_runtime: Runtime) -> None:
    """When stopped, it leaves the remaining campaigns, which may be thousands, to the next process."""
    sent = [await all_sent(fresh_runtime) for _ in range(3)]
    stopping = asyncio.Event()
    worker = build_worker(fresh_runtime, JOBS)
    sweeper = Sweeper(worker, stopping)
    stopping.set()
    await sweep_campaigns(sweeper)
    assert [await status(fresh_runtime, each) for each in sent] == [CampaignStatus.SENDING] * 3
    stopping.clear()
    await sweep_campaigns(sweeper)
    assert [await status(fresh_runtime, each) for each in sent] == [CampaignStatus.SENT] * 3


async def sweep_campaigns(sweeper: Sweeper) -> None:
    """One round of the campaigns' sweeps, with all the tasks that they start."""
    for each in campaigns.SWEEPS:
        await sweeper.run_once(each)
    await until(lambda: is_idle(sweeper.worker.tasks))


async def is_idle(tasks: KeyedTasks) -> bool:
    return not tasks.tasks


async def all_sent(runtime: Runtime) -> tuple[Actor, UUID]:
    """A campaign in `sending` with nothing left to send."""
    actor, _, campaign_id = await sending(runtime, 1)
    async with runtime.work.begin(actor) as uow:
        mine = EmailDelivery.campaign_id == campaign_id
        await uow.execute(update(EmailDelivery).where(mine).values(status=DeliveryStatus.DELIVERED))
    return actor, campaign_id


async def status(runtime: Runtime, campaign: tuple[Actor, UUID]) -> CampaignStatus:
    """The campaign's status."""
    return (await progress(runtime, *campaign)).status


async def is_consuming(runtime: Runtime) -> bool:
    """Whether arq's worker has stored its health check."""
    return bool(await runtime.cache.keys("*:health:*"))


async def test_a_cancelled_operation_waits_for_all_its_fields() -> None:
    """The operation does not end while one of its fields still cleans up."""
    events: list[str] = []
    operation = asyncio.create_task(gather_or_cancel([forever(), slow_to_end(events, 0.1), forever()]))
    await asyncio.sleep(0.01)
    operation.cancel()
    await asyncio.wait([operation])
    assert operation.cancelled()
    assert events == ["cleaned up"]
