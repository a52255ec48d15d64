"""The recipes of CONTRIBUTING.md fit the code that they change."""

import ast
from textwrap import dedent

import pytest

from tests.documents.pages import ROOT
from tests.documents.recipes import Recipe, Step, applied, recipes

RECIPES = list(recipes())


def test_there_is_a_recipe_for_each_usual_change() -> None:
    """What people add most often."""
    things = "field, filter, mutation, subscription, job, sweep, noun, vendor"
    assert [recipe.title for recipe in RECIPES] == [f"Add a {thing}" for thing in things.split(", ")]


@pytest.mark.parametrize("recipe", RECIPES, ids=[recipe.title for recipe in RECIPES])
def test_its_steps_fit(recipe: Recipe) -> None:
    """Each text that a step refers to stands in its file, a new file is not there yet, and whole files are Python."""
    texts = {step.path: text_at(step) for step in recipe.steps}
    for step in recipe.steps:
        texts[step.path] = applied(step, texts[step.path])
    for path, text in texts.items():
        if path.endswith(".py"):
            ast.parse(text, path)
    assert len(texts) <= recipe.files


def text_at(step: Step) -> str:
    """The text of a step's file; nothing of one that is new."""
    path = ROOT / step.path
    assert path.exists() == (step.place != "new"), path
    return path.read_text("utf-8") if path.exists() else ""


def test_a_step_without_its_place_is_found() -> None:
    """Where the code has changed, the step fails instead of going elsewhere."""
    with pytest.raises(ValueError, match="no line with 'nothing like this'"):
        applied(Step("after", "core/ids.py", "nothing like this", "x\n"), "a\nb\n")
    with pytest.raises(ValueError, match="substring not found"):
        applied(Step("swap", "core/ids.py", "nothing", "x\n"), "a\nb\n")


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
    places = {place: applied(Step(place, "", "a = (", "x\n"), text) for place in ("before", "after", "inside", "end")}
    assert places == {
        "before": "\nx\na = (\n    1,\n)\nb\n",
        "after": "\na = (\n    1,\n)\nx\nb\n",
        "inside": "\na = (\nx\n    1,\n)\nb\n",
        "end": "\na = (\n    1,\n)\nb\nx\n",
    }
    assert applied(Step("swap", "", "b", "c\n"), text) == "\na = (\n    1,\n)\nc\n"
