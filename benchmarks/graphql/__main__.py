"""Run with `python -m benchmarks.graphql [--quick]`; README.md says what is compared and how."""

import argparse
import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import uvloop

from benchmarks.folders import INTO, writable_folder
from benchmarks.graphql.cases import LIST, SMALL, THOUSAND
from benchmarks.graphql.contestants import USUAL, everybody, targets
from benchmarks.graphql.report import CROWD, FEW, Results, write
from benchmarks.load import Round, Target, load
from benchmarks.processes import LOAD_CORE
from benchmarks.stage import Api, Stage, add_campaign, add_contacts, api, stage

CONTACTS = 10_000
CAMPAIGNS = 20
CONNECTIONS = {LIST: (FEW, CROWD), SMALL: (FEW, CROWD), THOUSAND: (8,)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How long to measure: so many rounds of so many seconds for each server, case and number of connections."""

    rounds: int
    seconds: float
    warm_up_seconds: float


FULL = Pace(rounds=5, seconds=1.6, warm_up_seconds=2.0)
QUICK = Pace(rounds=2, seconds=0.3, warm_up_seconds=0.7)


def fill(on: Stage, ours: Api) -> str:
    """Contacts and campaigns through the API, with figures; the global id of a campaign."""
    add_contacts(ours, CONTACTS)
    campaign_id = [add_campaign(ours, f"Campaign {number}") for number in range(CAMPAIGNS)][-1]
    asyncio.run(
        on.admin(
            "UPDATE contacts SET subscribed_at = created_at - interval '1 day' WHERE first_name LIKE '%7'",
            "UPDATE campaign_stats SET audience = 9000, accepted = 200, delivered = 8800, reached = 8800,"
            " opened = 3700, clicked = 410",
            "VACUUM ANALYZE",  # what autovacuum would have done by now
        )
    )
    return campaign_id


async def compare(cases: Mapping[str, Sequence[Target]], pace: Pace) -> Results:
    """Interleaved rounds, by case, connections and server."""
    results: Results = {}
    for case, targets_of_case in cases.items():
        for connections in CONNECTIONS[case]:
            # A crowd at the usual Strawberry waits for seconds: its rounds would take most of the time.
            chosen = [target for target in targets_of_case if connections != CROWD or target.name != USUAL]
            seen: dict[str, list[Round]] = {target.name: [] for target in chosen}
            for target in chosen:
                await load(target, connections, pace.warm_up_seconds)
            for _ in range(pace.rounds):
                for target in chosen:
                    seen[target.name].append(await load(target, connections, pace.seconds))
            results[case, connections] = seen
    return results


def main() -> None:
    """Start everything, make sure that the answers agree, measure, write the table and the plot."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.graphql", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a look in under a minute; the full run takes five")
    parser.add_argument("--into", type=writable_folder, default=str(Path(__file__).parent), help=INTO)
    given = parser.parse_args()
    with stage() as on, api(on) as ours, everybody(on, ours) as contestants:
        campaign_id = fill(on, ours)
        cases = {case: targets(contestants, case, campaign_id) for case in CONNECTIONS}
        os.sched_setaffinity(0, {LOAD_CORE})
        results = uvloop.run(compare(cases, QUICK if given.quick else FULL))
    write(results, given.into, quick=given.quick)


if __name__ == "__main__":
    main()
