"""The ratio of test lines to product lines, by area: `python -m tests.architecture.ratio` prints a table.

An area is a subject such as campaigns, with its modules in every room, or the remaining modules of one or more rooms.
Counted are the lines of Python and of JSON files with test cases, without blank lines.
"""

from collections import Counter
from pathlib import Path
from typing import Final, NamedTuple

from tests.architecture.tree import NOT_PRODUCT, PACKAGES, ROOT, modules, source

# For each area, the names of its modules and the folders of its tests. All other modules belong to the area of their
# room.
SUBJECTS: Final[dict[str, tuple[set[str], set[str]]]] = {
    "accounts": ({"accounts", "jwks"}, {"accounts"}),
    "audit": ({"audit"}, {"audit"}),
    "campaigns": ({"campaigns"}, {"campaigns"}),
    "contacts": ({"contacts", "contact_events", "lists"}, {"contacts", "lists"}),
    "deliveries": ({"deliveries", "mailing", "mail", "bounded", "postmark", "recording"}, {"deliveries", "faults"}),
    "maya": (
        {"maya", "conversations", "language", "language_settings", "openrouter", "completions", "event_stream"}
        | {"tool_calls", "scripted", "switched_off"},
        {"maya"},
    ),
    "outbox": ({"outbox"}, {"outbox"}),
    "rendering": ({"rendering", "messages"}, {"rendering"}),
    "retention": ({"retention"}, {"retention"}),
    "senders": ({"senders"}, {"senders"}),
    "suppressions": ({"suppressions", "unsubscribe"}, {"suppressions"}),
    "templates": ({"templates"}, {"templates"}),
    "webhooks": ({"webhooks", "mail_events"}, {"webhooks"}),
}
ROOMS: Final[dict[str, tuple[set[str], set[str]]]] = {
    "core": (
        {"core", "models", "services", "integrations"},
        {"core", "database", "tenancy", "access", "realtime", "logs", "supervision", "listing", "texts", "addresses"},
    ),
    "jobs": ({"jobs"}, {"jobs"}),
    "programs": (
        {"app", "cli", "development", "routes", "runtime", "settings"},
        {"operating", "features", "documents", "seeding"},
    ),
    "transport": ({"transport", "schema", "resolvers"}, {"graphql", "nodes"}),
}


class Area(NamedTuple):
    """The number of lines in an area."""

    product: int
    tests: int

    @property
    def ratio(self) -> float:
        """Lines of tests per line of the product."""
        return self.tests / self.product


def areas() -> dict[str, Area]:
    """Every area of the product by its name, without packages and their tests."""
    product: Counter[str] = Counter()
    tests: Counter[str] = Counter()
    for path in modules():
        if path.parts[0] == "tests":
            tests[path.parts[1]] += _lines(source(path))
        elif path.parts[0] not in {*NOT_PRODUCT, PACKAGES}:
            product[area_of(path)] += _lines(source(path))
    for cases in (ROOT / "tests").glob("*/*.json"):
        tests[cases.parent.name] += _lines(cases.read_text(encoding="utf-8"))
    return {
        name: Area(product[name], sum(tests[folder] for folder in folders))
        for name, (_, folders) in (SUBJECTS | ROOMS).items()
    }


def area_of(path: Path) -> str:
    """The area of the first subject in a module's path, otherwise that of its room."""
    names = path.with_suffix("").parts
    for name in names[1:]:
        if name == "seeding":
            return "programs"
        for area, (subject_modules, _) in SUBJECTS.items():
            if name in subject_modules:
                return area
    return next(area for area, (rooms, _) in ROOMS.items() if names[0] in rooms)


def _lines(text: str) -> int:
    return sum(bool(line.strip()) for line in text.splitlines())


def total(areas: dict[str, Area]) -> Area:
    """The sums over all areas."""
    return Area(sum(area.product for area in areas.values()), sum(area.tests for area in areas.values()))


def report() -> str:
    """A line for each area, the lowest ratio first, and one with the totals."""
    all_areas = areas()
    lines = sorted(all_areas.items(), key=lambda item: item[1].ratio)
    return "\n".join(
        f"{name:14} {area.product:7,} product {area.tests:7,} tests {area.ratio:6.2f}"
        for name, area in [*lines, ("all", total(all_areas))]
    )


if __name__ == "__main__":
    print(report())
