"""Run with `python -m benchmarks.fanout [--quick]`; README.md says what is compared and how."""

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
from benchmarks.fanout.contestants import Contestant, Crowd, Round
from benchmarks.fanout.events import PostedEvents, RowEvents
from benchmarks.fanout.report import API, LIBRARY, ONCE, USUAL, Result, write
from benchmarks.folders import INTO, writable_folder
from benchmarks.processes import serving
from benchmarks.stage import Api, Stage, add_campaign, api, stage
from local.folder import free_port

ROOMY = {"NUDGE_REALTIME__PER_USER": "100000", "NUDGE_REALTIME__PER_ORGANIZATION": "100000"}
"""One user of one organisation opens every socket here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The sizes of crowds, and so many rounds of so many events for each server, at an even pace."""

    crowds: tuple[int, ...]
    rounds: int
    events: int
    per_second: float


FULL = Plan(crowds=(1_000, 5_000), rounds=3, events=40, per_second=10.0)
QUICK = Plan(crowds=(200, 1_000), rounds=1, events=15, per_second=10.0)


@asynccontextmanager
async def everybody(on: Stage, ours: Api, campaign_id: str) -> AsyncIterator[list[Contestant]]:
    """All servers at once; only one works at a time. Without Node, only those in Python."""
    usual: list[str | Path] = [sys.executable, "-m", "benchmarks.fanout.usual"]
    others = [(USUAL, usual, "")]
    if node.installed():
        others += [
            (LIBRARY, node.command("graphql-ws.mjs"), "library"),
            (ONCE, node.command("graphql-ws.mjs"), "once"),
        ]
    async with AsyncExitStack() as stack:
        bearer = {"authorization": f"Bearer {ours.token}"}
        rows = await RowEvents.of(on, ours, campaign_id)
        stack.push_async_callback(rows.close)
        found = [
            Contestant(
                name=API, pid=ours.pid, port=ours.port, path="/graphql", init=bearer, events=rows, log=ours.log
            )
        ]
        for name, argv, form in others:
            port = free_port()
            settings = {"PORT": str(port), "FORM": form, "NODE_ENV": "production"}
            log = on.log_of(name)
            pid = stack.enter_context(serving(name, argv, settings, port, log=log))
            posted = await PostedEvents.of(port, campaign_id)
            path = "/graphql/" if name == USUAL else "/graphql"
            found.append(Contestant(name=name, pid=pid, port=port, path=path, init={}, events=posted, log=log))
        yield found


async def compare(contestants: Sequence[Contestant], campaign_id: str, count: int, plan: Plan) -> dict[str, Result]:
    """Medians of interleaved rounds."""
    crowds = [Crowd.gather(each, campaign_id, count) for each in contestants]
    seen: dict[str, list[Round]] = {crowd.to.name: [] for crowd in crowds}
    for crowd in crowds:
        await crowd.round(plan.events // 4, plan.per_second)
    for _ in range(plan.rounds):
        for crowd in crowds:
            seen[crowd.to.name].append(await crowd.round(plan.events, plan.per_second))
    results = {}
    for crowd in crowds:
        lines = await crowd.leave()
        results[crowd.to.name] = Result(round=median(seen[crowd.to.name]), kib_each=crowd.kib_each, log_lines=lines)
    return results


def median(rounds: Sequence[Round]) -> Round:
    """The median of each figure."""
    return Round(*(statistics.median(getattr(each, name) for each in rounds) for name in Round.__slots__))


async def measure(on: Stage, ours: Api, count: int, plan: Plan) -> dict[str, Result]:
    """A crowd at every server; the largest not at the usual Strawberry, which could not keep up."""
    campaign_id = add_campaign(ours)
    async with everybody(on, ours, campaign_id) as contestants:
        chosen = [each for each in contestants if count == min(plan.crowds) or each.name != USUAL]
        return await compare(chosen, campaign_id, count, plan)


def main() -> None:
    """Start everything, gather the crowds, measure, write the table and the plot."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fanout", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller crowds, one round")
    parser.add_argument("--into", type=writable_folder, default=str(Path(__file__).parent), help=INTO)
    parser.add_argument("--crowds", type=int, nargs="+", help="other sizes of crowds")
    parser.add_argument("--per-second", type=float, help="another pace of events; ours shows ten a second at most")
    given = parser.parse_args()
    plan = QUICK if given.quick else FULL
    plan = replace(plan, crowds=tuple(given.crowds or plan.crowds), per_second=given.per_second or plan.per_second)
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    results = {}
    with stage() as on:
        for count in plan.crowds:
            # Fresh processes, so that memory and rights of one crowd do not show in the next.
            with api(on, ROOMY) as ours:
                results[count] = asyncio.run(measure(on, ours, count, plan))
    write(results, plan.per_second, given.into, quick=given.quick)


if __name__ == "__main__":
    main()
