"""Run with `python -m benchmarks.graphql [--quick]`; README.md describes the comparison."""

import argparse
import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import uvloop

from benchmarks.environment import Api, BenchmarkEnvironment, add_campaign, add_contacts, start_api, start_environment
from benchmarks.folders import INTO, writable_folder
from benchmarks.graphql.cases import LIST, SMALL, THOUSAND
from benchmarks.graphql.report import FEW, MANY, Results, write
from benchmarks.graphql.servers import STRAWBERRY, all_servers, targets
from benchmarks.load import LoadRound, Target, load
from benchmarks.processes import LOAD_CORE

CONTACTS = 10_000
CAMPAIGNS = 20
CONNECTIONS = {LIST: (FEW, MANY), SMALL: (FEW, MANY), THOUSAND: (8,)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How many rounds of how many seconds to measure, for each server, case and number of connections."""

    rounds: int
    seconds: float
    warm_up_seconds: float


FULL = Plan(rounds=5, seconds=1.6, warm_up_seconds=2.0)
QUICK = Plan(rounds=2, seconds=0.3, warm_up_seconds=0.7)


def fill(env: BenchmarkEnvironment, ours: Api) -> str:
    """Create contacts and campaigns through the API, with counts; returns the global id of a campaign."""
    add_contacts(ours, CONTACTS)
    campaign_id = [add_campaign(ours, f"Campaign {number}") for number in range(CAMPAIGNS)][-1]
    asyncio.run(
        env.admin(
            "UPDATE contacts SET subscribed_at = created_at - interval '1 day' WHERE first_name LIKE '%7'",
            "UPDATE campaign_stats SET audience = 9000, accepted = 200, delivered = 8800, reached = 8800,"
            " opened = 3700, clicked = 410",
            "VACUUM ANALYZE",  # what autovacuum would have done by now
        )
    )
    return campaign_id


async def compare(cases: Mapping[str, Sequence[Target]], plan: Plan) -> Results:
    """Run interleaved rounds; returns them by case, connections and server."""
    results: Results = {}
    for case, targets_of_case in cases.items():
        for connections in CONNECTIONS[case]:
            # With many connections, Strawberry takes seconds per request: its rounds would take most of the time.
            chosen_targets = [
                target for target in targets_of_case if connections != MANY or target.name != STRAWBERRY
            ]
            rounds: dict[str, list[LoadRound]] = {target.name: [] for target in chosen_targets}
            for target in chosen_targets:
                await load(target, connections, plan.warm_up_seconds)
            for _ in range(plan.rounds):
                for target in chosen_targets:
                    rounds[target.name].append(await load(target, connections, plan.seconds))
            results[case, connections] = rounds
    return results


def main() -> None:
    """Start everything, check that all servers return the same data, measure, write the table and the chart."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.graphql", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a rough run in under a minute; the full run takes five")
    parser.add_argument("--into", type=writable_folder, default=str(Path(__file__).parent), help=INTO)
    arguments = parser.parse_args()
    with start_environment() as env, start_api(env) as ours, all_servers(env, ours) as servers:
        campaign_id = fill(env, ours)
        cases = {case: targets(servers, case, campaign_id) for case in CONNECTIONS}
        os.sched_setaffinity(0, {LOAD_CORE})
        results = uvloop.run(compare(cases, QUICK if arguments.quick else FULL))
    write(results, arguments.into, quick=arguments.quick)


if __name__ == "__main__":
    main()
