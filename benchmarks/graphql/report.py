"""The results as a Markdown table and a plot."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from benchmarks.charts import Bar, Panel, draw
from benchmarks.graphql.cases import LIST, SMALL, THOUSAND
from benchmarks.graphql.contestants import API, MERCURIUS, POSTGRAPHILE_5, SINGLE, USUAL
from benchmarks.load import Round, median
from benchmarks.tables import machine, markdown

Rounds: TypeAlias = dict[str, list[Round]]
Results: TypeAlias = dict[tuple[str, int], Rounds]
COLUMNS = (
    *("server", "requests/s", "of ours", "CPU µs a request"),
    *("p50 ms", "p95 ms", "p95/p50", "server's core", "other core"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """How many times a rival's requests a second ours should be."""

    case: str
    rival: str
    times: float


GOALS = (
    Goal(case=LIST, rival=MERCURIUS, times=2.0),
    Goal(case=LIST, rival=SINGLE, times=1.3),
    Goal(case=LIST, rival=POSTGRAPHILE_5, times=3.0),
    Goal(case=LIST, rival=USUAL, times=25.0),
    Goal(case=SMALL, rival=MERCURIUS, times=2.0),
    Goal(case=THOUSAND, rival=MERCURIUS, times=2.3),
)
STEADY = 2.0
FEW, CROWD = 32, 128


def write(results: Results, folder: Path, *, quick: bool) -> None:
    """Write `results.md` and `results.png`, and print the former."""
    text = document(results, quick=quick)
    (folder / "results.md").write_text(text, encoding="utf-8")
    draw([panel(case, connections, seen) for (case, connections), seen in results.items()], folder / "results.png")
    print(text)


def panel(case: str, connections: int, seen: Mapping[str, Sequence[Round]]) -> Panel:
    """The servers of one case as bars."""
    bars = [
        Bar(label=name, value=each.per_second, text=f"{each.per_second:,.0f}", ours=name == API)
        for name, each in medians(seen).items()
    ]
    return Panel(title=f"{case}, {connections} connections: requests per second, more is better", bars=bars)


def document(results: Results, *, quick: bool) -> str:
    """Everything that was measured."""
    parts = ["# GraphQL over HTTP", f"{machine()}{'; a quick run, rough figures' if quick else ''}."]
    parts += [goals(results)]
    for (case, connections), seen in results.items():
        parts += [f"## {case}, {connections} connections", table(seen)]
    return "\n\n".join(parts) + "\n"


def medians(seen: Mapping[str, Sequence[Round]]) -> dict[str, Round]:
    """The median round of each server."""
    return {name: median(rounds) for name, rounds in seen.items()}


def times(ours: Sequence[Round], rival: Sequence[Round]) -> tuple[float, float]:
    """How many times the rival's requests a second ours are, and its CPU time; of rounds next to each other."""
    pairs = list(zip(ours, rival, strict=True))
    return (
        statistics.median(our.per_second / their.per_second for our, their in pairs),
        statistics.median(their.cpu_microseconds / our.cpu_microseconds for our, their in pairs),
    )


def table(seen: Mapping[str, Sequence[Round]]) -> str:
    """The servers of one case."""
    found = medians(seen)
    ours = found[API]
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
            for name, each in found.items()
        ],
    )


def goals(results: Results) -> str:
    """What was to be reached, beside what was."""
    rows = []
    first = {case: seen for (case, connections), seen in results.items() if connections != CROWD}
    for goal in GOALS:
        seen = first[goal.case]
        if goal.rival in seen:
            by_rate, by_cpu = times(seen[API], seen[goal.rival])
            rows.append(
                (
                    f"{goal.case}: times {goal.rival}",
                    f"at least {goal.times:.1f}",
                    f"{by_rate:.2f}",
                    f"{by_cpu:.2f}",
                    "yes" if by_rate >= goal.times else "no",
                )
            )
    for case in (LIST, SMALL):
        ours = median(results[case, CROWD][API])
        spread = ours.p95_ms / ours.p50_ms
        name = f"{case}: p95/p50 at {CROWD} connections"
        rows.append((name, f"at most {STEADY:.1f}", f"{spread:.2f}", "", "yes" if spread <= STEADY else "no"))
    return markdown(("goal", "aim", "by requests/s", "by CPU", "reached"), rows)
