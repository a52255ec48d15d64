"""The results as a Markdown table and a plot."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.charts import Bar, Panel, draw
from benchmarks.fanout.contestants import Round
from benchmarks.tables import machine, markdown

API = "NudgeCampaign"
LIBRARY = "Node: graphql-ws on ws"
ONCE = "Node: ws, serialised once"
USUAL = "Strawberry on uvicorn, as usually written"
COLUMNS = (
    "server",
    "CPU µs a message",
    "times ours",
    "messages/s and core",
    "p50 ms",
    "p99 ms",
    "arrived",
    "KiB each",
    "log lines",
)
LATE_MS = 50.0
HALF_A_CORE = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The medians of a crowd's rounds, the server's memory for each connection, and what it logs when all drop."""

    round: Round
    kib_each: float
    log_lines: int


Results = Mapping[int, Mapping[str, Result]]
GOALS: Sequence[tuple[str, float]] = ((LIBRARY, 5.0), (USUAL, 40.0))


def write(results: Results, per_second: float, folder: Path, *, quick: bool) -> None:
    """Write `results.md` and `results.png`, and print the former."""
    text = document(results, per_second, quick=quick)
    (folder / "results.md").write_text(text, encoding="utf-8")
    draw([panel(subscribers, seen) for subscribers, seen in results.items()], folder / "results.png")
    print(text)


def panel(subscribers: int, seen: Mapping[str, Result]) -> Panel:
    """The servers at one size of crowd as bars."""
    bars = [
        Bar(
            label=name,
            value=each.round.per_second,
            text=f"{each.round.per_second:,.0f}   p99 {each.round.p99_ms:,.0f} ms",
            ours=name == API,
        )
        for name, each in seen.items()
    ]
    return Panel(title=f"{subscribers:,} subscribers: messages per second and core, more is better", bars=bars)


def document(results: Results, per_second: float, *, quick: bool) -> str:
    """Everything that was measured."""
    parts = [
        "# Subscriptions: one topic, many clients",
        f"{machine()}{'; a quick run, rough figures' if quick else ''}.",
    ]
    parts += [goals(results)]
    for subscribers, seen in results.items():
        parts += [f"## {subscribers:,} subscribers, {per_second:g} events a second", table(seen)]
    return "\n\n".join(parts) + "\n"


def table(seen: Mapping[str, Result]) -> str:
    """The servers at one size of crowd."""
    ours = seen[API].round
    return markdown(
        COLUMNS,
        [
            (
                name,
                f"{each.round.cpu_microseconds:.1f}",
                f"{each.round.cpu_microseconds / ours.cpu_microseconds:.2f}",
                f"{each.round.per_second:,.0f}",
                f"{each.round.p50_ms:.0f}",
                f"{each.round.p99_ms:.0f}",
                f"{each.round.arrived:.0%}",
                f"{each.kib_each:.1f}",
                f"{each.log_lines:,}",
            )
            for name, each in seen.items()
        ],
    )


def goals(results: Results) -> str:
    """What was to be reached, beside what was."""
    few, many = min(results), max(results)
    ours = results[few][API].round
    rows = []
    for rival, times in GOALS:
        if rival in results[few]:
            found = results[few][rival].round.cpu_microseconds / ours.cpu_microseconds
            rows.append((f"times {rival}, {few:,}", f"at least {times:.0f}", f"{found:.2f}", said(found >= times)))
    crowd = results[many][API].round
    rows.append((f"p99 ms, {many:,}", f"under {LATE_MS:.0f}", f"{crowd.p99_ms:.0f}", said(crowd.p99_ms < LATE_MS)))
    rows.append(
        (f"share of a core, {many:,}", f"under {HALF_A_CORE}", f"{crowd.core:.2f}", said(crowd.core < HALF_A_CORE))
    )
    return markdown(("goal", "aim", "found", "reached"), rows)


def said(reached: bool) -> str:
    """Yes or no."""
    return "yes" if reached else "no"
