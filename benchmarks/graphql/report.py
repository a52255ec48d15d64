"""The results as a Markdown table and a chart."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from benchmarks.charts import Bar, Panel, draw
from benchmarks.graphql.cases import LIST, SMALL, THOUSAND
from benchmarks.graphql.servers import API, MERCURIUS, POSTGRAPHILE_5, SINGLE, STRAWBERRY
from benchmarks.load import LoadRound, median
from benchmarks.tables import machine, markdown

Rounds: TypeAlias = dict[str, list[LoadRound]]
Results: TypeAlias = dict[tuple[str, int], Rounds]
COLUMNS = (
    *("server", "requests/s", "times ours", "CPU µs a request"),
    *("p50 ms", "p95 ms", "p95/p50", "server's core", "other core"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """The minimal ratio of our requests per second to another server's."""

    case: str
    other: str
    times: float


GOALS = (
    Goal(case=LIST, other=MERCURIUS, times=2.0),
    Goal(case=LIST, other=SINGLE, times=1.3),
    Goal(case=LIST, other=POSTGRAPHILE_5, times=3.0),
    Goal(case=LIST, other=STRAWBERRY, times=25.0),
    Goal(case=SMALL, other=MERCURIUS, times=2.0),
    Goal(case=THOUSAND, other=MERCURIUS, times=2.3),
)
MAX_P95_RATIO = 2.0
FEW, MANY = 32, 128


def write(results: Results, folder: Path, *, quick: bool) -> None:
    """Write `results.md` and `results.png`, and print the former."""
    text = document(results, quick=quick)
    (folder / "results.md").write_text(text, encoding="utf-8")
    draw(
        [panel(case, connections, by_server) for (case, connections), by_server in results.items()],
        folder / "results.png",
    )
    print(text)


def panel(case: str, connections: int, by_server: Mapping[str, Sequence[LoadRound]]) -> Panel:
    """The servers as bars, for one case."""
    bars = [
        Bar(label=name, value=each.per_second, text=f"{each.per_second:,.0f}", ours=name == API)
        for name, each in medians(by_server).items()
    ]
    return Panel(title=f"{case}, {connections} connections: requests per second, more is better", bars=bars)


def document(results: Results, *, quick: bool) -> str:
    """All results as Markdown."""
    parts = ["# GraphQL over HTTP", f"{machine()}{'; a quick run, rough figures' if quick else ''}."]
    parts += [goals(results)]
    for (case, connections), by_server in results.items():
        parts += [f"## {case}, {connections} connections", table(by_server)]
    return "\n\n".join(parts) + "\n"


def medians(by_server: Mapping[str, Sequence[LoadRound]]) -> dict[str, LoadRound]:
    """The median round of each server."""
    return {name: median(rounds) for name, rounds in by_server.items()}


def times(ours: Sequence[LoadRound], other: Sequence[LoadRound]) -> tuple[float, float]:
    """The ratios of requests per second and of CPU time, each as the median over adjacent rounds."""
    pairs = list(zip(ours, other, strict=True))
    return (
        statistics.median(our.per_second / their.per_second for our, their in pairs),
        statistics.median(their.cpu_microseconds / our.cpu_microseconds for our, their in pairs),
    )


def table(by_server: Mapping[str, Sequence[LoadRound]]) -> str:
    """The servers as a table, for one case."""
    medians_by_name = medians(by_server)
    ours = medians_by_name[API]
    return markdown(
        COLUMNS,
        [
            (
                name,
                f"{each.per_second:,.0f}",
                f"{each.per_second / ours.per_second:.2f}",
                f"{each.cpu_microseconds:,.0f}",
                f"{each.p50_ms:.1f}",
                f"{each.p95_ms:.1f}",
                f"{each.p95_ms / each.p50_ms:.1f}",
                f"{each.busy:.0%}",
                f"{each.load_busy:.0%}",
            )
            for name, each in medians_by_name.items()
        ],
    )


def goals(results: Results) -> str:
    """The goals and the measured values."""
    rows = []
    first = {case: by_server for (case, connections), by_server in results.items() if connections != MANY}
    for goal in GOALS:
        by_server = first[goal.case]
        if goal.other in by_server:
            by_rate, by_cpu = times(by_server[API], by_server[goal.other])
            rows.append(
                (
                    f"{goal.case}: times {goal.other}",
                    f"at least {goal.times:.1f}",
                    f"{by_rate:.2f}",
                    f"{by_cpu:.2f}",
                    "yes" if by_rate >= goal.times else "no",
                )
            )
    for case in (LIST, SMALL):
        ours = median(results[case, MANY][API])
        spread = ours.p95_ms / ours.p50_ms
        name = f"{case}: p95/p50 at {MANY} connections"
        rows.append(
            (name, f"at most {MAX_P95_RATIO:.1f}", f"{spread:.2f}", "", "yes" if spread <= MAX_P95_RATIO else "no")
        )
    return markdown(("goal", "target", "by requests/s", "by CPU", "reached"), rows)
