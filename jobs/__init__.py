"""Background work: a doorbell (arq), a sender, a sweeper. `run_worker` is the worker process."""

import asyncio
import signal

import uvloop

from core import preflight, telemetry
from core.settings import Settings
from jobs import conversations, deliveries
from jobs.listening import listen
from jobs.sweeper import Sweeper
from jobs.workshop import Workshop, furnish
from services.runtime import Runtime, running

__all__ = ["FUNCTIONS", "Workshop", "run_worker", "working"]

FUNCTIONS = (*deliveries.FUNCTIONS, *conversations.FUNCTIONS)
ERRANDS_SECONDS = 10.0
log = telemetry.logger(__name__)


def run_worker(settings: Settings) -> None:
    """Run a worker process until SIGTERM or SIGINT; the batches under way are finished first.

    Raises `UnsafeDatabase`, as the API does: a role above the policies would send one tenant's mail for another.
    """
    telemetry.configure(settings.log_level, json=settings.production)
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
    """Listen, send and sweep until stopped."""
    shop = furnish(runtime)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(shop.sender.run(), name="sender")
        tasks.create_task(Sweeper(shop).run(stopping), name="sweeper")
        tasks.create_task(listen(shop, FUNCTIONS, stopping), name="listener")
        log.info(
            "worker ready: sends campaigns, applies webhooks, runs jobs and Maya's replies, sweeps",
            concurrent_batches=runtime.settings.sending.concurrent_batches,
            sweep_seconds=runtime.settings.sending.sweep_seconds,
        )
        await stopping.wait()
        log.info("worker stopping; batches under way are finished")
        shop.sender.stop()
        await shop.errands.aclose(ERRANDS_SECONDS)
