"""Parses the documentation: README, CONTRIBUTING and `docs/`."""

import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.DOTALL | re.MULTILINE)
INLINE = re.compile(r"`([^`\n]+)`")
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)


def text_of(name: str) -> str:
    """A page's text, by its path from the root."""
    return (ROOT / name).read_text("utf-8")


def pages() -> list[str]:
    """The paths of all pages, decisions included."""
    paths = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    return sorted(str(path.relative_to(ROOT)) for path in paths)


def handbook() -> list[str]:
    """The pages that describe the current code: all but the changelog and the decisions."""
    return [name for name in pages() if name != "CHANGELOG.md" and not name.startswith("docs/adr/")]


def blocks(name: str, language: str) -> list[str]:
    """The fenced blocks of a language on a page."""
    return [body for its_language, body in FENCE.findall(text_of(name)) if its_language == language]


def inline(name: str) -> list[str]:
    """The texts in backticks in a page's prose and tables."""
    return INLINE.findall(FENCE.sub("", COMMENT.sub("", text_of(name))))


def code(name: str) -> list[str]:
    """All code of a page: inline, and each line of its fenced blocks."""
    return inline(name) + [line for _, body in FENCE.findall(text_of(name)) for line in body.splitlines()]


@cache
def tracked_files() -> frozenset[str]:
    """The files of the checkout that git tracks or does not ignore."""
    process = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if not process.stdout:
        pytest.skip("the checkout is not a git repository: its files are unknown")
    return frozenset(name for name in process.stdout.splitlines() if (ROOT / name).exists())


@cache
def words(*, tests: bool) -> frozenset[str]:
    """Every word of all paths and of all text files but the pages, with or without the text of the tests."""
    all_words = {word for name in tracked_files() for word in re.findall(r"\w+", name)}
    for name in tracked_files():
        if name.endswith((".md", "package-lock.json", ".lock")) or name == "tests/documents/test_pages.py":
            continue
        if name.startswith("tests/") and not tests:
            continue
        try:
            all_words.update(re.findall(r"\w+", (ROOT / name).read_text("utf-8")))
        except UnicodeDecodeError:
            continue
    return frozenset(all_words)
