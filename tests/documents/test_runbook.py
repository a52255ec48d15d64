"""The runbook and the pages around it: metrics and log lines are those of the code."""

import ast
import re
from functools import cache

import aiohttp

from jobs import SWEEPS
from tests.documents.pages import ROOT, handbook, inline, text_of, tracked_files
from tests.serving import Served

METRIC = re.compile(r"(?:nudge|process)_[a-z_]+")
ROLES = {"nudge_app", "nudge_migrator", "nudge_definer"}
SENTENCE = re.compile(r"[A-Za-z][a-z']*(?:[ ,;:.'-]+[A-Za-z][a-z']*){2,}\.?")
COMMAND = re.compile(r"(nudge|make|git|systemctl|journalctl|apt|chgrp|chmod) ")


async def test_metrics_are_exposed(api_server: Served) -> None:
    """Every metric on a page is exposed by an API process."""
    async with aiohttp.ClientSession() as http, http.get(f"{api_server.base}/metrics") as response:
        exposed = set(METRIC.findall(await response.text()))
    names = {token for page in handbook() for token in inline(page) if METRIC.fullmatch(token)}
    assert len(names) > 10
    assert names - ROLES - exposed == set()


@cache
def texts() -> str:
    """Every string in the product's code, and the database's functions, one per line."""
    strings: set[str] = set()
    for name in tracked_files():
        text = text_of(name) if name.endswith((".py", ".sql")) else ""
        if name.endswith(".py") and not name.startswith(("tests/", "benchmarks/")):
            strings |= {
                node.value
                for node in ast.walk(ast.parse(text))
                if isinstance(node, ast.Constant) and isinstance(node.value, str)
            }
        elif name.endswith(".sql"):
            strings.add(text.replace("%", "..."))  # the value that RAISE inserts
    return "\n".join(strings)


def quoted(page: str) -> list[str]:
    """The sentences in backticks on a page: of three words or more, two spaces between them at least."""
    tokens = [token for token in inline(page) if SENTENCE.fullmatch(token) and token.count(" ") >= 2]
    return [token for token in tokens if not COMMAND.match(token)]


def test_sentences_are_of_the_code() -> None:
    """Every sentence in backticks, a log line or a reason that people see, is in a text of the code."""
    pages = {page: quoted(page) for page in handbook()}
    assert len(pages["docs/runbook.md"]) > 20
    unknown = {(page, each) for page, tokens in pages.items() for each in tokens}
    assert {(page, each) for page, each in unknown if each not in texts()} == set()


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
