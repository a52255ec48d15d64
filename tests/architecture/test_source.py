"""Rules of the house that imports cannot show."""

import ast
import re

from tests.architecture.tree import NOT_PRODUCT, functions, modules, packages, product, rooms, source

MAX_MODULE_LINES = 400
MAX_FUNCTION_LINES = 60
# Each with its reason. What is no longer longer than the rule allows must be taken out.
LONG_MODULES: dict[str, str] = {}
LONG_FUNCTIONS: dict[str, str] = {}
OPENERS = re.compile(r"\b(?!self\.)\w+\.(?:commit|begin_nested)\(|(?:engine|connection)\.begin\(")
FORBIDDEN_NAMES = {"utils", "helpers", "manager", "common", "misc"}


def test_every_top_level_folder_is_looked_at() -> None:
    """The rooms are found in the checkout, so that a new one cannot be left out: these are surely among them."""
    assert {"core", "migrations", "benchmarks", "tests"} <= rooms()
    assert {"execution", "sandbox", "local"} <= packages()
    assert set(NOT_PRODUCT) <= rooms()


def test_modules_and_functions_stay_short() -> None:
    """No module over 400 lines, no function over 60, wherever it stands."""
    long_modules = {str(path) for path in modules() if len(source(path).splitlines()) > MAX_MODULE_LINES}
    long_functions = {
        place for place, node in functions() if (node.end_lineno or 0) - node.lineno + 1 > MAX_FUNCTION_LINES
    }
    assert (long_modules, long_functions) == (set(LONG_MODULES), set(LONG_FUNCTIONS))


def test_only_the_unit_of_work_commits() -> None:
    """Nobody else commits or opens a transaction."""
    openers = {f"{path}: {found}" for path in product() for found in OPENERS.findall(source(path))}
    assert openers == {
        "core/database/scopes.py: connection.begin(",
        "core/database/scopes.py: connection.begin_nested(",
    }


def test_modules_are_named_for_what_they_hold() -> None:
    """No `utils`, no `helpers`, no `manager`."""
    assert [str(path) for path in modules() if FORBIDDEN_NAMES & set(path.stem.split("_"))] == []


def test_every_test_says_what_it_proves() -> None:
    """Each test has a docstring."""
    silent = [
        place
        for place, node in functions()
        if place.startswith("tests/") and node.name.startswith("test_") and not ast.get_docstring(node)
    ]
    assert silent == []


def test_settings_are_described() -> None:
    """The configuration table of the README is generated from these descriptions."""
    from settings import Settings

    silent = []
    for name, field in Settings.model_fields.items():
        group = field.annotation
        inner = getattr(group, "model_fields", None)
        if inner is None:
            silent += [name] if not field.description else []
        else:
            silent += [f"{name}.{key}" for key, value in inner.items() if not value.description]
    assert silent == []


def test_no_pattern_has_a_possessive_group() -> None:
    """Before 3.11.5 `re` matches possessive and atomic groups wrongly whose content can match in several ways."""
    possessive = re.compile(r"\)[*+?]\+|\)\{[0-9,]*\}\+|\(\?>")
    found = [
        f"{path}:{number}"
        for path in modules()
        for number, line in enumerate(source(path).splitlines(), start=1)
        if possessive.search(line) and not line.lstrip().startswith("#")
    ]
    assert found == []


def test_properties_have_one_place_for_their_numbers() -> None:
    """How many examples a property is tried with is for `tests.properties`, which knows what is too many."""
    wanted = re.compile(r"\bmax_examples\b")
    found = [str(path) for path in modules() if path.parts[0] == "tests" and wanted.search(source(path))]
    assert found == ["tests/properties.py"]
