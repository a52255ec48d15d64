"""Background work: a doorbell (arq), a sender, a sweeper. `run_worker` is the worker process."""

import asyncio
import signal

import uvloop
from redis.exceptions import RedisError

from core import preflight, telemetry
from core.settings import Settings
from core.supervision import SupervisedTaskEnded, Supervisors
from jobs import conversations, deliveries, outbox
from jobs.listening import ConnectionLost, listen
from jobs.sweeper import Sweeper
from jobs.workshop import Workshop, furnish
from runtime import Runtime, running

__all__ = ["FUNCTIONS", "Workshop", "run_worker", "working"]

FUNCTIONS = (*deliveries.FUNCTIONS, *conversations.FUNCTIONS, *outbox.FUNCTIONS)
ERRANDS_SECONDS = 10.0
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
    await preflight.check(settings)
    async with running(settings) as runtime:
        await working(runtime, stopping)


async def working(runtime: Runtime, stopping: asyncio.Event) -> None:
    """Listen, send and sweep until stopped.

    Raises `SupervisedTaskEnded` when one of these has ended for good; what is under way is finished first.
    """
    shop = furnish(runtime)
    supervisors = runtime.supervisors
    tasks = start(shop, supervisors, stopping)
    try:
        log.info(
            "worker ready: sends campaigns, applies webhooks, runs jobs and Maya's replies, sweeps",
            concurrent_batches=runtime.settings.sending.concurrent_batches,
            sweep_seconds=runtime.settings.sending.sweep_seconds,
        )
        with supervisors.on_death(stopping.set):
            await stopping.wait()
        log.info("worker stopping; batches under way are finished")
        supervisors.release(*tasks)
        shop.sender.stop()
        await shop.errands.aclose(ERRANDS_SECONDS)
        await asyncio.wait(tasks)
    finally:
        try:
            await supervisors.stop(*tasks)
        finally:
            await shop.errands.aclose(0.0)  # for when this task was cancelled
    if supervisors.dead:
        raise SupervisedTaskEnded(f"The worker has ended, as it has lost {', '.join(supervisors.dead)}.")


def start(shop: Workshop, supervisors: Supervisors, stopping: asyncio.Event) -> list[asyncio.Task[None]]:
    """Start the tasks of a worker."""
    lanes = range(shop.settings.sending.concurrent_batches)
    return [
        *(supervisors.start(f"sending-lane-{number}", shop.sender.lane) for number in lanes),
        supervisors.start("sweeper", lambda: Sweeper(shop, stopping).run()),
        supervisors.start(
            "listener", lambda: listen(shop, FUNCTIONS, stopping), expected=(ConnectionLost, RedisError, OSError)
        ),
    ]
