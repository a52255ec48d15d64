"""The schema as SDL, and the check for changes that break clients."""

from pathlib import Path

from graphql import build_schema as schema_of
from graphql.utilities import find_breaking_changes

from resolvers import build_schema

SCHEMA = Path("schema.graphql")
RELEASED = Path("docs/schema/released.graphql")
RECORD = Path("docs/adr/breaking-changes.md")
STALE = f"{SCHEMA} is stale: run `nudge schema export` and commit it."


def export() -> str:
    """The SDL of this version, the content of `schema.graphql`; ends with a newline."""
    return build_schema().as_str().rstrip() + "\n"


def breaking_changes(old: str, new: str) -> list[str]:
    """The changes from the old SDL that break clients, each as a sentence."""
    return [change.description for change in find_breaking_changes(schema_of(old), schema_of(new))]


def _unlisted(changes: list[str], record: str) -> list[str]:
    """The changes that no line of the record begins with: `- Field Type.name was removed.`, then the reason."""
    listed = record.splitlines()
    return [change for change in changes if not any(line.startswith(f"- {change}") for line in listed)]


def _unlisted_changes(root: Path, current: str) -> list[str]:
    """The changes since the last release that break clients and are not listed in the record under `root`."""
    return _unlisted(breaking_changes((root / RELEASED).read_text(), current), (root / RECORD).read_text())


def problems(root: Path, current: str) -> list[str]:
    """Why the checks must fail for the current SDL and the files under `root`; empty when they pass."""
    stale = (root / SCHEMA).read_text() != current
    broken = [
        f"Breaks clients of the last release: {change} Undo it, or list it in {RECORD}."
        for change in _unlisted_changes(root, current)
    ]
    return [STALE, *broken] if stale else broken


def release(root: Path, current: str) -> list[str]:
    """Make the current SDL the base of later comparisons, unless there are problems; returns the problems."""
    unresolved = problems(root, current)
    if not unresolved:
        (root / RELEASED).write_text(current)
    return unresolved
