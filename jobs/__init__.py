"""Background work: jobs from the queue, batches of sending, sweeps. `run_worker` is the worker process.

Each module declares its `JOBS` (which function runs which job) and `SWEEPS`; they are collected here.
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
"""How long background tasks may continue when the worker stops."""
log = telemetry.logger(__name__)


def run_worker(settings: Settings) -> None:
    """Run a worker process until SIGTERM or SIGINT; current batches are finished first.

    Raises `UnsafeDatabase` for a database role that bypasses Row Level Security, and `SupervisedTaskEnded` when a
    supervised task has ended permanently, so that the process must be restarted.
    """
    telemetry.configure(settings.log_level, json=settings.production, secrets=settings.secrets)
    uvloop.run(main(settings))


async def main(settings: Settings) -> None:
    """Run the worker in the event loop, with its signal handlers."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    await check_servers(settings)
    log_features_off(settings)
    async with running(settings) as runtime:
        await run(runtime, stopping)


async def run(runtime: Runtime, stopping: asyncio.Event) -> None:
    """Run jobs, send and sweep until stopped; current work is finished first.

    Raises `SupervisedTaskEnded` when one of these tasks has ended permanently.
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
        log.info("worker stopping; finishing current batches")
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
        raise SupervisedTaskEnded(f"The worker has ended because it lost {', '.join(supervisors.ended)}.")


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
