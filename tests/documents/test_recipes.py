"""The recipes of CONTRIBUTING.md fit the code that they change."""

import ast
import re
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from shutil import copy
from textwrap import dedent
from types import ModuleType

import pytest

from integrations import Mailer, MailWebhooks
from tests.documents.pages import ROOT, tracked_files
from tests.documents.recipes import Recipe, Step, apply, apply_step, recipes

RECIPES = list(recipes())
CODE = [step.code for recipe in RECIPES for step in recipe.steps]
MADE = {name for code in CODE for name in re.findall(r"^ *(?:class|def|async def) (\w+)", code, re.MULTILINE)}
"""What the recipes add, one of which may build on another."""


def test_there_is_a_recipe_for_each_usual_change() -> None:
    """The recipes for the most frequent additions."""
    things = "field, filter, mutation, subscription, job, sweep, noun, vendor"
    assert [recipe.title for recipe in RECIPES] == [f"Add a {thing}" for thing in things.split(", ")]


@pytest.mark.parametrize("recipe", RECIPES, ids=[recipe.title for recipe in RECIPES])
def test_its_steps_fit(recipe: Recipe) -> None:
    """Each anchor is in its file, new files do not exist yet, complete files are valid Python, the count is right."""
    texts = carried_out(recipe)
    for path, text in texts.items():
        if path.endswith(".py"):
            ast.parse(text, path)
    assert len({step.path for step in recipe.steps}) + recipe.by_command == recipe.files


def carried_out(recipe: Recipe) -> dict[str, str]:
    """The files of a recipe as they are after it; the sweep finds the job of the recipe before."""
    steps = [*(RECIPES[4].steps if recipe.title == "Add a sweep" else ()), *recipe.steps]
    texts = {step.path: text_at(step) for step in steps}
    for step in steps:
        texts[step.path] = apply_step(step, texts[step.path])
    return texts


@pytest.mark.parametrize("recipe", RECIPES, ids=[recipe.title for recipe in RECIPES])
def test_its_names_are_there(recipe: Recipe) -> None:
    """The names that its files import and use exist, so that a rename is completed in the recipes."""
    texts = {path: text for path, text in carried_out(recipe).items() if path.endswith(".py")}
    missing = []
    for node in (node for text in texts.values() for node in ast.walk(ast.parse(text))):
        if isinstance(node, ast.ImportFrom) and node.module and is_there(node.module):
            module = import_module(node.module)
            missing += [f"{node.module}.{each.name}" for each in node.names if not names_in(module, each.name)]
    assert [place for place in missing if f"{place.replace('.', '/')}.py" not in texts] == []
    for path, text in texts.items():
        ruff = [
            sys.executable,
            "-m",
            "ruff",
            "check",
            "--isolated",
            "--select",
            "F821",
            "--stdin-filename",
            path,
            "-",
        ]
        checked = subprocess.run(ruff, cwd=ROOT, input=text, capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stdout


@pytest.mark.slow
@pytest.mark.differential
def test_all_of_them_fit_together(tmp_path: Path) -> None:
    """Carried out one after the other in a copy of the checkout, they leave code that mypy takes."""
    for name in tracked_files():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        copy(ROOT / name, tmp_path / name)
    for recipe in RECIPES:
        apply(recipe, tmp_path)
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "."], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout


def is_there(module: str) -> bool:
    """Whether there is a module, which a recipe may be the first to make."""
    path = ROOT / module.replace(".", "/")
    return path.with_suffix(".py").exists() or path.exists() or not (ROOT / module.partition(".")[0]).exists()


def names_in(module: ModuleType, name: str) -> bool:
    """Whether a module has a name, or a module of that name in it."""
    return name in MADE or hasattr(module, name) or find_spec(f"{module.__package__}.{name}") is not None


@pytest.mark.parametrize(("name", "protocol"), [("BeaconMailer", Mailer), ("BeaconWebhooks", MailWebhooks)])
def test_the_adapter_is_whole(name: str, protocol: type) -> None:
    """The recipe's adapter has all that its protocol asks for."""
    modules = [
        ast.parse(step.code) for step in RECIPES[-1].steps if step.place == "new" and step.path.endswith(".py")
    ]
    [adapter] = [
        node for module in modules for node in module.body if isinstance(node, ast.ClassDef) and node.name == name
    ]
    has = {node.name for node in adapter.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    stores = [node for node in ast.walk(adapter) if isinstance(getattr(node, "ctx", None), ast.Store)]
    has |= {node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "") for node in stores}
    assert {each for each in vars(protocol) if not each.startswith("_")} - has == set()


def text_at(step: Step) -> str:
    """The text of a step's file; empty for a new one."""
    path = ROOT / step.path
    assert path.exists() == (step.place != "new"), path
    return path.read_text("utf-8") if path.exists() else ""


def test_a_step_without_its_place_is_found() -> None:
    """Where the code has changed, the step fails instead of going elsewhere."""
    with pytest.raises(ValueError, match="no line with 'nothing like this'"):
        apply_step(Step("after", "core/ids.py", "nothing like this", "x\n"), "a\nb\n")
    with pytest.raises(ValueError, match="substring not found"):
        apply_step(Step("swap", "core/ids.py", "nothing", "x\n"), "a\nb\n")


def test_where_code_goes() -> None:
    """Above the line, below the statement, right below its first line, in its place, at the end."""
    text = dedent(
        """
        a = (
            1,
        )
        b
        """
    )
    places = {
        place: apply_step(Step(place, "", "a = (", "x\n"), text) for place in ("before", "after", "inside", "end")
    }
    assert places == {
        "before": "\nx\na = (\n    1,\n)\nb\n",
        "after": "\na = (\n    1,\n)\nx\nb\n",
        "inside": "\na = (\nx\n    1,\n)\nb\n",
        "end": "\na = (\n    1,\n)\nb\nx\n",
    }
    assert apply_step(Step("swap", "", "b", "c\n"), text) == "\na = (\n    1,\n)\nc\n"
