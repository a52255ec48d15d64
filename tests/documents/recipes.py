"""Parses the recipes of CONTRIBUTING.md; `python -m tests.documents.recipes "Add a field"` inserts their code.

A comment above a block of code gives its position: `new: PATH`, `end: PATH`; `before: PATH | TEXT` above the first
line with the text, `after: PATH | TEXT` below the statement that begins in it, `inside: PATH | TEXT` right below the
line; `swap: PATH | TEXT` in the text's place.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "CONTRIBUTING.md"
STEP: Final = re.compile(
    r"^<!-- (new|end|after|inside|before|swap): (\S+?)(?: \| (.+?))? -->\n```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL
)
FILES: Final = re.compile(r"\*\*(\d+) files\*\*: (.*?)(?:\n\n|\. )", re.DOTALL)
GENERATED: Final = re.compile(r"(\d+)?(?: |\n|`)+generated")


class Step(NamedTuple):
    """A block of code and where it goes; `anchor` is a text of the file."""

    place: str
    path: str
    anchor: str
    code: str


class Recipe(NamedTuple):
    """A recipe's title, its steps, how many files it takes, and how many of these are written by commands."""

    title: str
    steps: list[Step]
    files: int
    by_command: int


def recipes() -> Iterator[Recipe]:
    """The recipes in their order."""
    page = PAGE.read_text("utf-8").partition("\n## Recipes\n")[2]
    for part in re.split(r"^### ", page, flags=re.MULTILINE)[1:]:
        title = part.partition("\n")[0]
        steps = [Step(place, path, anchor, code) for place, path, anchor, code in STEP.findall(part)]
        match = FILES.search(part)
        if match is None:
            raise AssertionError(f"{title}: how many files does it take?")
        generated = GENERATED.search(match[2])
        by_command = int(generated[1] or 1) if generated else 0
        yield Recipe(title, steps, int(match[1]), by_command + ("the migration" in " ".join(match[2].split())))


def apply_step(step: Step, text: str) -> str:
    """The text of a step's file with its code; raises `ValueError` if its anchor does not exist."""
    if step.place == "new":
        return step.code
    if step.place == "end":
        return f"{text}{step.code}"
    if step.place == "swap":
        start = text.index(step.anchor)
        return f"{text[:start]}{step.code.rstrip()}{text[start + len(step.anchor) :]}"
    lines = text.splitlines(keepends=True)
    at = next((number for number, line in enumerate(lines) if step.anchor in line), None)
    if at is None:
        raise ValueError(f"{step.path} has no line with {step.anchor!r}")
    if step.place == "after":
        at = end_of_statement(lines, at)
    at += step.place == "inside"
    return "".join([*lines[:at], step.code, *lines[at:]])


def end_of_statement(lines: list[str], start: int) -> int:
    """The number of the line that follows the statement which a line begins, or ends inside a bracket."""
    depth = 0
    for number, line in enumerate(lines[start:], start + 1):
        depth += sum(map(line.count, "([{")) - sum(map(line.count, ")]}"))
        if depth < 0 or (depth == 0 and lines[number : number + 1] != ["    )\n"]):
            return number
    return len(lines)


def apply(recipe: Recipe, root: Path) -> None:
    """Insert a recipe's code."""
    for step in recipe.steps:
        path = root / step.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(apply_step(step, path.read_text("utf-8") if path.exists() else ""), "utf-8")


if __name__ == "__main__":
    title = sys.argv[1]
    apply(next(each for each in recipes() if each.title == title), ROOT)
