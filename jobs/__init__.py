"""Background work: jobs from the queue, batches of sending, sweeps. `run_worker` is the worker process.

A noun declares `JOBS` (which function runs which job) and `SWEEPS` in its module; here they are collected.
"""

import asyncio
import signal
from functools import partial

import uvloop
from redis.exceptions import RedisError

from core import telemetry
from core.supervision import SupervisedTaskEnded, Supervisors
from jobs import campaigns, conversations, deliveries, outbox, retention, webhooks
from jobs.consumer import ConnectionLost, consume
from jobs.sweeper import Sweep, Sweeper
from jobs.worker import JobHandler, Worker, build_worker
from runtime import Runtime, check_servers, running
from settings import Settings, log_features_off

__all__ = ["JOBS", "SWEEPS", "run", "run_worker"]

JOBS: tuple[JobHandler, ...] = (
    *campaigns.JOBS,
    *deliveries.JOBS,
    *webhooks.JOBS,
    *outbox.JOBS,
    *conversations.JOBS,
)
SWEEPS: tuple[Sweep, ...] = (
    *campaigns.SWEEPS,
    *deliveries.SWEEPS,
    *webhooks.SWEEPS,
    *outbox.SWEEPS,
    *conversations.SWEEPS,
    *retention.SWEEPS,
)
TASKS_SECONDS = 10.0
"""How long background tasks may go on when the worker stops."""
log = telemetry.logger(__name__)


def run_worker(settings: Settings) -> None:
    """Run a worker process until SIGTERM or SIGINT; the batches under way are finished first.

    Raises `UnsafeDatabase`, as the API does: a role above the policies would send one tenant's mail for another; and
    `SupervisedTaskEnded` when the process has lost a part of itself and has to be started again.
    """
    telemetry.configure(settings.log_level, json=settings.production, secrets=settings.secrets)
    uvloop.run(main(settings))


async def main(settings: Settings) -> None:
    """The worker process within its loop."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    await check_servers(settings)
    log_features_off(settings)
    async with running(settings) as runtime:
        await run(runtime, stopping)


async def run(runtime: Runtime, stopping: asyncio.Event) -> None:
    """Run jobs, send and sweep until stopped.

    Raises `SupervisedTaskEnded` when one of these has ended for good; what is under way is finished first.
    """
    worker = build_worker(runtime, JOBS)
    supervisors = runtime.supervisors
    tasks = start(worker, supervisors, stopping)
    try:
        log.info(
            "worker ready: sends campaigns, applies webhooks, runs jobs and Maya's replies, sweeps",
            concurrent_batches=runtime.settings.sending.concurrent_batches,
            sweep_seconds=runtime.settings.sending.sweep_seconds,
        )
        with supervisors.on_unexpected_end(stopping.set):
            await stopping.wait()
        log.info("worker stopping; batches under way are finished")
        supervisors.release(*tasks)
        worker.sender.stop()
        await worker.tasks.aclose(TASKS_SECONDS)
        await asyncio.wait(tasks)
    finally:
        try:
            await supervisors.stop(*tasks)
        finally:
            await worker.tasks.aclose(0.0)  # for when this task was cancelled
    if supervisors.ended:
        raise SupervisedTaskEnded(f"The worker has ended, as it has lost {', '.join(supervisors.ended)}.")


def start(worker: Worker, supervisors: Supervisors, stopping: asyncio.Event) -> list[asyncio.Task[None]]:
    """Start the supervised tasks of a worker."""
    sweeper = Sweeper(worker, stopping)
    return [
        *(
            supervisors.start(f"send-loop-{number}", worker.sender.send_loop)
            for number in range(worker.settings.sending.concurrent_batches)
        ),
        *(supervisors.start(f"sweep: {sweep.name}", partial(sweeper.run, sweep)) for sweep in SWEEPS),
        supervisors.start(
            "consumer", lambda: consume(worker, stopping), expected=(ConnectionLost, RedisError, OSError)
        ),
    ]
