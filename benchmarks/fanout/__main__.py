"""Run with `python -m benchmarks.fanout [--quick]`; README.md describes the comparison."""

import argparse
import asyncio
import resource
import statistics
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import node
from benchmarks.environment import Api, BenchmarkEnvironment, add_campaign, start_api, start_environment
from benchmarks.fanout.events import PostedEvents, RowEvents
from benchmarks.fanout.report import API, LIBRARY, SINGLE_STRING, STRAWBERRY, Result, write
from benchmarks.fanout.servers import EventRound, MeasuredServer, SubscriberProcess
from benchmarks.folders import INTO, writable_folder
from benchmarks.processes import serving
from local.folder import free_port

RAISED_LIMITS = {"NUDGE_REALTIME__PER_USER": "100000", "NUDGE_REALTIME__PER_ORGANIZATION": "100000"}
"""One user of one organization opens all sockets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How many subscribers, and how many rounds of how many events for each server, at a constant rate."""

    subscribers: tuple[int, ...]
    rounds: int
    events: int
    per_second: float


FULL = Plan(subscribers=(1_000, 5_000), rounds=3, events=40, per_second=10.0)
QUICK = Plan(subscribers=(200, 1_000), rounds=1, events=15, per_second=10.0)


@asynccontextmanager
async def all_servers(env: BenchmarkEnvironment, ours: Api, campaign_id: str) -> AsyncIterator[list[MeasuredServer]]:
    """Start all servers, of which only one works at a time; without Node, only those in Python."""
    strawberry: list[str | Path] = [sys.executable, "-m", "benchmarks.fanout.strawberry_queues"]
    others = [(STRAWBERRY, strawberry, "")]
    if node.install():
        others += [
            (LIBRARY, node.command("graphql-ws.mjs"), "library"),
            (SINGLE_STRING, node.command("graphql-ws.mjs"), "once"),
        ]
    async with AsyncExitStack() as stack:
        bearer = {"authorization": f"Bearer {ours.token}"}
        rows = await RowEvents.of(env, ours, campaign_id)
        stack.push_async_callback(rows.close)
        servers = [
            MeasuredServer(
                name=API, pid=ours.pid, port=ours.port, path="/graphql", init=bearer, events=rows, log=ours.log
            )
        ]
        for name, argv, form in others:
            port = free_port()
            settings = {"PORT": str(port), "FORM": form, "NODE_ENV": "production"}
            log = env.log_path(name)
            pid = stack.enter_context(serving(name, argv, settings, port, log=log))
            posted = await PostedEvents.of(port, campaign_id)
            path = "/graphql/" if name == STRAWBERRY else "/graphql"
            servers.append(MeasuredServer(name=name, pid=pid, port=port, path=path, init={}, events=posted, log=log))
        yield servers


async def compare(servers: Sequence[MeasuredServer], campaign_id: str, count: int, plan: Plan) -> dict[str, Result]:
    """The medians of interleaved rounds, by server."""
    processes = [SubscriberProcess.connect(each, campaign_id, count) for each in servers]
    rounds: dict[str, list[EventRound]] = {process.to.name: [] for process in processes}
    for process in processes:
        await process.round(plan.events // 4, plan.per_second)
    for _ in range(plan.rounds):
        for process in processes:
            rounds[process.to.name].append(await process.round(plan.events, plan.per_second))
    results = {}
    for process in processes:
        lines = await process.disconnect()
        results[process.to.name] = Result(
            round=median(rounds[process.to.name]), kib_each=process.kib_each, log_lines=lines
        )
    return results


def median(rounds: Sequence[EventRound]) -> EventRound:
    """The median of each value over the rounds."""
    return EventRound(*(statistics.median(getattr(each, name) for each in rounds) for name in EventRound.__slots__))


async def measure(env: BenchmarkEnvironment, ours: Api, count: int, plan: Plan) -> dict[str, Result]:
    """Measure all servers with so many subscribers. The larger runs omit Strawberry, which cannot keep up."""
    campaign_id = add_campaign(ours)
    async with all_servers(env, ours, campaign_id) as servers:
        measured_servers = [each for each in servers if count == min(plan.subscribers) or each.name != STRAWBERRY]
        return await compare(measured_servers, campaign_id, count, plan)


def main() -> None:
    """Start everything, connect the subscribers, measure, write the table and the chart."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fanout", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer subscribers, one round")
    parser.add_argument("--into", type=writable_folder, default=str(Path(__file__).parent), help=INTO)
    parser.add_argument("--subscribers", type=int, nargs="+", help="other numbers of subscribers")
    parser.add_argument("--per-second", type=float, help="another rate of events; ours sends at most ten per second")
    arguments = parser.parse_args()
    plan = QUICK if arguments.quick else FULL
    plan = replace(
        plan,
        subscribers=tuple(arguments.subscribers or plan.subscribers),
        per_second=arguments.per_second or plan.per_second,
    )
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    results = {}
    with start_environment() as env:
        for count in plan.subscribers:
            # New processes for each run, so that memory and permissions of one do not affect the next.
            with start_api(env, RAISED_LIMITS) as ours:
                results[count] = asyncio.run(measure(env, ours, count, plan))
    write(results, plan.per_second, arguments.into, quick=arguments.quick)


if __name__ == "__main__":
    main()
