"""The results as a Markdown table and a chart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.charts import Bar, Panel, draw
from benchmarks.fanout.servers import EventRound
from benchmarks.tables import machine, markdown

API = "NudgeCampaign"
LIBRARY = "Node: graphql-ws on ws"
SINGLE_STRING = "Node: ws, serialized once"
STRAWBERRY = "Strawberry on uvicorn, as usually written"
COLUMNS = (
    "server",
    "CPU µs a message",
    "times ours",
    "messages/s per core",
    "p50 ms",
    "p99 ms",
    "arrived",
    "KiB each",
    "log lines",
)
MAX_P99_MS = 50.0
MAX_CORE_SHARE = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The median round, memory per connection, and the number of log lines when all connections close."""

    round: EventRound
    kib_each: float
    log_lines: int


Results = Mapping[int, Mapping[str, Result]]
GOALS: Sequence[tuple[str, float]] = ((LIBRARY, 5.0), (STRAWBERRY, 40.0))


def write(results: Results, per_second: float, folder: Path, *, quick: bool) -> None:
    """Write `results.md` and `results.png`, and print the former."""
    text = document(results, per_second, quick=quick)
    (folder / "results.md").write_text(text, encoding="utf-8")
    draw([panel(subscribers, by_server) for subscribers, by_server in results.items()], folder / "results.png")
    print(text)


def panel(subscribers: int, by_server: Mapping[str, Result]) -> Panel:
    """The servers as bars, for one number of subscribers."""
    bars = [
        Bar(
            label=name,
            value=each.round.per_second,
            text=f"{each.round.per_second:,.0f}   p99 {each.round.p99_ms:,.0f} ms",
            ours=name == API,
        )
        for name, each in by_server.items()
    ]
    return Panel(title=f"{subscribers:,} subscribers: messages per second per core, more is better", bars=bars)


def document(results: Results, per_second: float, *, quick: bool) -> str:
    """All results as Markdown."""
    parts = [
        "# Subscriptions: one topic, many clients",
        f"{machine()}{'; a quick run, rough figures' if quick else ''}.",
    ]
    parts += [goals(results)]
    for subscribers, by_server in results.items():
        parts += [f"## {subscribers:,} subscribers, {per_second:g} events a second", table(by_server)]
    return "\n\n".join(parts) + "\n"


def table(by_server: Mapping[str, Result]) -> str:
    """The servers as a table, for one number of subscribers."""
    ours = by_server[API].round
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
            for name, each in by_server.items()
        ],
    )


def goals(results: Results) -> str:
    """The goals and the measured values."""
    few, many = min(results), max(results)
    ours = results[few][API].round
    rows = []
    for other, times in GOALS:
        if other in results[few]:
            ratio = results[few][other].round.cpu_microseconds / ours.cpu_microseconds
            rows.append(
                (f"times {other}, {few:,}", f"at least {times:.0f}", f"{ratio:.2f}", yes_or_no(ratio >= times))
            )
    subscribers = results[many][API].round
    rows.append(
        (
            f"p99 ms, {many:,}",
            f"under {MAX_P99_MS:.0f}",
            f"{subscribers.p99_ms:.0f}",
            yes_or_no(subscribers.p99_ms < MAX_P99_MS),
        )
    )
    rows.append(
        (
            f"share of a core, {many:,}",
            f"under {MAX_CORE_SHARE}",
            f"{subscribers.core:.2f}",
            yes_or_no(subscribers.core < MAX_CORE_SHARE),
        )
    )
    return markdown(("goal", "target", "measured", "reached"), rows)


def yes_or_no(reached: bool) -> str:
    """A boolean as a table cell."""
    return "yes" if reached else "no"
