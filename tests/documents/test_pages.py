"""Everything that the pages name exists: links, paths, settings, commands, targets, names of the code."""

import re
from pathlib import Path
from typing import Any

import pytest
import typer

from cli import cli
from settings import table
from tests.documents.pages import FENCE, ROOT, code, handbook, inline, pages, text_of, tracked_files, words
from tests.documents.recipes import recipes

LINK = re.compile(r"\]\(([^)\s]+)\)")
FILE = r"[\w*-]+(?:\.[\w*-]+)*\.(?:py|sql|md|toml|graphql|lock|mako)"
PATH = re.compile(rf"(?:[\w.*-]+/)*(?:{FILE}|[\w.*-]+/)")
# Folders in vendors' addresses, on machines in production and created at run time.
ELSEWHERE = re.compile(r"^(application|text|multipart|releases|docs/schema/|node_modules|graphql/assets)")


def anchors(page: str) -> set[str]:
    """The fragments that lead to a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", text_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", pages())
def test_links_lead_somewhere(page: str) -> None:
    """Every link within the project names a file that is there, and a heading that it has."""
    dead = []
    for link in LINK.findall(text_of(page)):
        if re.match(r"[a-z]+:", link):
            continue
        file, _, fragment = link.partition("#")
        target = (ROOT / page).parent / file if file else ROOT / page
        name = str(target.resolve().relative_to(ROOT))
        if not target.exists() or (fragment and name.endswith(".md") and fragment not in anchors(name)):
            dead.append(link)
    assert dead == []


@pytest.mark.parametrize("page", handbook())
def test_paths_are_there(page: str) -> None:
    """Every path in backticks is a file or folder of the checkout, from the root or a folder named on the page."""
    existing = {*tracked_files(), *(str(parent) for name in tracked_files() for parent in Path(name).parents)}
    folders, missing = {Path(), Path("packages")}, []
    for token in inline(page):
        name = token.rstrip("/")
        if token in MADE_BY_RECIPES or not PATH.fullmatch(token) or ELSEWHERE.match(token) or token.startswith("."):
            continue
        places = [
            folder for folder in folders if str(folder / name) in existing or any(ROOT.glob(str(folder / name)))
        ]
        if not places:
            missing.append(token)
        folders |= {folder / (name if token.endswith("/") else Path(name).parent) for folder in places}
    assert missing == []


@pytest.mark.parametrize("page", handbook())
def test_settings_exist(page: str) -> None:
    """Every environment variable that a page names is one of ours."""
    documented = set(re.findall(r"`(NUDGE_\w+)`", table()))
    text = FENCE.sub("", text_of(page)) if page == "CONTRIBUTING.md" else text_of(page)  # its vendor is fictitious
    names = set(re.findall(r"\bNUDGE_[A-Z_]*[A-Z]\b", text))
    # `NUDGE_URL` and the like belong to the example programs for clients.
    assert {name for name in names - documented if "__" in name} == set()


def command_at(path: list[str]) -> Any:  # noqa: ANN401 - a command of click, which Typer brings along
    """The command that the words begin with."""
    command: Any = typer.main.get_command(cli)
    for name in path:
        command = getattr(command, "commands", {}).get(name, command)
    return command


@pytest.mark.parametrize("page", handbook())
def test_commands_exist(page: str) -> None:
    """Every `nudge` command on a page exists, with its options."""
    wrong = []
    for line in code(page):
        for names, options in re.findall(r"(?:^|[\s/$])nudge((?: [a-z][a-z-]*)+)((?: --[a-z-]+)*)", line):
            command = command_at(names.split())
            documented = {option for parameter in command.params for option in parameter.opts}
            if hasattr(command, "commands") or not set(options.split()) <= documented:
                wrong.append(f"nudge{names}{options}")
    assert wrong == []


@pytest.mark.parametrize("page", handbook())
def test_targets_exist(page: str) -> None:
    """Every `make` target on a page exists in the Makefile."""
    targets = set(re.findall(r"^([a-z]+):", text_of("Makefile"), re.MULTILINE))
    names = {target for line in code(page) for target in re.findall(r"^(?:\$ )?make ([a-z]+)", line)}
    assert names - targets - {"partitions"} == set()  # the name of a sweep


MADE_BY_RECIPES = {step.path for recipe in recipes() for step in recipe.steps if step.place == "new"}
# Names of others: vendors, protocols, tools of the operating system. The page on clients is full of their libraries'.
FOREIGN = {
    *("CloseEvent", "ConnectionClosed", "TimeoutStopSec"),
    *(
        "set_real_ip_from",
        "real_ip_header",
        "trusted_proxies",
        "ignore_startup_parameters",
        "max_prepared_statements",
    ),
    *("lo_create", "lo_creat", "lo_from_bytea", "pg_cancel_backend", "lock_timeout", "contact_events_2027_01"),
    "process_cpu_seconds_total",
    *("throwOnFieldError", "catchByDefault", "errorHandlingClient"),
}


@pytest.mark.parametrize("page", [page for page in handbook() if page != "docs/clients.md"])
def test_names_are_of_the_code(page: str) -> None:
    """Every name in backticks occurs in the product's code; CONTRIBUTING.md names some of the tests as well."""
    unknown = set()
    known = words(tests=page == "CONTRIBUTING.md") | FOREIGN
    for token in inline(page):
        if re.search(r"[<>…]|://|\.\.\.|NUDGE_", token):
            continue
        names = {word for word in re.findall(r"\w+", token) if re.search(r"[^_]_[^_]|[a-z][A-Z]", word)}
        unknown |= names - known
    assert unknown == set()
