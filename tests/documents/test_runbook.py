"""The runbook and the pages around it: metrics and log lines are those of the code."""

import ast
import re
from functools import cache

import aiohttp
import pytest

from jobs import SWEEPS
from tests.documents.pages import ROOT, handbook, inline, text_of, tracked_files
from tests.serving import Served

METRIC = re.compile(r"(?:nudge|process)_[a-z_]+")
ROLES = {"nudge_app", "nudge_migrator", "nudge_definer"}
SENTENCE = re.compile(r"[A-Za-z][a-z']*(?:[ ,;:.'-]+[A-Za-z][a-z']*){2,}\\.?")
COMMAND = re.compile(r"(nudge|make|git|systemctl|apt|chgrp|chmod) ")


async def test_metrics_are_exposed(api_server: Served) -> None:
    """Every metric on a page is exposed by an API process."""
    async with aiohttp.ClientSession() as http, http.get(f"{api_server.base}/metrics") as response:
        exposed = set(METRIC.findall(await response.text()))
    names = {token for page in handbook() for token in inline(page) if METRIC.fullmatch(token)}
    assert len(names) > 10
    assert names - ROLES - exposed == set()


@cache
def sentences() -> frozenset[str]:
    """Every text in the product's code, and the names of its sweeps among them."""
    texts: set[str] = set()
    for name in tracked_files():
        if name.endswith(".py") and not name.startswith(("tests/", "benchmarks/")):
            tree = ast.parse((ROOT / name).read_text("utf-8"))
            texts |= {
                node.value
                for node in ast.walk(tree)
                if isinstance(node, ast.Constant) and isinstance(node.value, str)
            }
    return frozenset(texts)


@pytest.mark.parametrize("page", ["docs/runbook.md", "docs/sending.md", "docs/realtime.md", "docs/transport.md"])
def test_sentences_are_of_the_code(page: str) -> None:
    """Every sentence in backticks (a log line or a reason shown to users) occurs in a text of the code."""
    quoted = [token for token in inline(page) if SENTENCE.fullmatch(token) and not COMMAND.match(token)]
    texts = sentences()
    assert [each for each in quoted if not any(each in text for text in texts)] == []


def test_every_sweep_is_in_the_table() -> None:
    """docs/sending.md has a row for each sweep, with its interval and whether all processes run it."""
    table = text_of("docs/sending.md").partition("\n## Sweeps\n")[2].partition("\n## ")[0]
    rows = {
        name: (every, processes)
        for names, every, processes in re.findall(r"^\| (`[^|]+`) \| ([^|]+) \| (one|all) \|", table, re.MULTILINE)
        for name in re.findall(r"`([^`]+)`", names)
    }
    every = {None: "5 s", 86_400.0: "a day"}
    assert rows == {each.name: (every[each.every], "one" if each.exclusive else "all") for each in SWEEPS}


def test_every_topic_is_in_the_table() -> None:
    """docs/realtime.md has a row for each kind of topic, with its ids in order."""
    table = text_of("docs/realtime.md").partition("\n## Signals contain no data\n")[2].partition("\n## ")[0]
    templates = re.findall(r'return f"(.+)"', text_of("core/pubsub/topics.py"))
    names = re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE)
    assert sorted(names) == sorted(re.sub(r"{(\w+?)(?:_id)?}", r"<\1>", each) for each in templates)


def test_every_function_across_organizations_is_in_the_table() -> None:
    """docs/tenancy.md names each function that runs as `nudge_definer`."""
    table = text_of("docs/tenancy.md").partition("\n## Database roles\n")[2].partition("\n## ")[0]
    names = {
        name for row in re.findall(r"^\| (`.*?`) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
    }
    files = (ROOT / "migrations" / "functions").glob("*.sql")
    assert {path.stem for path in files if "ROLE nudge_definer" in path.read_text("utf-8")} == names - ROLES
