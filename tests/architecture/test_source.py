"""Rules for source code that import-linter cannot check."""

import ast
import re

from tests.architecture.tree import NOT_PRODUCT, functions, modules, packages, product, rooms, source

MAX_MODULE_LINES = 400
MAX_FUNCTION_LINES = 60
# Exceptions with their reasons. Remove an entry that is within the limit again.
LONG_MODULES: dict[str, str] = {}
LONG_FUNCTIONS: dict[str, str] = {}
OPENERS = re.compile(r"\b(?!self\.)\w+\.(?:commit|begin_nested)\(|(?:engine|connection)\.begin\(")
FORBIDDEN_NAMES = {"utils", "helpers", "manager", "common", "misc"}


def test_every_top_level_folder_is_checked() -> None:
    """Rooms and packages are read from the checkout, so a new one is checked too; these must be among them."""
    assert {"core", "migrations", "benchmarks", "tests"} <= rooms()
    assert {"execution", "sandbox", "local"} <= packages()
    assert set(NOT_PRODUCT) <= rooms()


def test_modules_and_functions_stay_short() -> None:
    """No module over 400 lines, no function over 60, in any folder."""
    long_modules = {str(path) for path in modules() if len(source(path).splitlines()) > MAX_MODULE_LINES}
    long_functions = {
        place for place, node in functions() if (node.end_lineno or 0) - node.lineno + 1 > MAX_FUNCTION_LINES
    }
    assert (long_modules, long_functions) == (set(LONG_MODULES), set(LONG_FUNCTIONS))


def test_only_the_unit_of_work_commits() -> None:
    """No other module commits or opens a transaction."""
    openers = {f"{path}: {match}" for path in product() for match in OPENERS.findall(source(path))}
    assert openers == {
        "core/database/scopes.py: connection.begin(",
        "core/database/scopes.py: connection.begin_nested(",
    }


def test_module_names_are_specific() -> None:
    """No `utils`, no `helpers`, no `manager`."""
    assert [str(path) for path in modules() if FORBIDDEN_NAMES & set(path.stem.split("_"))] == []


def test_every_test_has_a_docstring() -> None:
    """The docstring of a test describes what the test proves."""
    undocumented = [
        place
        for place, node in functions()
        if place.startswith("tests/") and node.name.startswith("test_") and not ast.get_docstring(node)
    ]
    assert undocumented == []


def test_settings_are_described() -> None:
    """The README's table of settings is generated from their descriptions."""
    from settings import Settings

    undocumented = []
    for name, field in Settings.model_fields.items():
        group = field.annotation
        inner = getattr(group, "model_fields", None)
        if inner is None:
            undocumented += [name] if not field.description else []
        else:
            undocumented += [f"{name}.{key}" for key, value in inner.items() if not value.description]
    assert undocumented == []


def test_no_pattern_has_a_possessive_group() -> None:
    """Before 3.11.5, `re` matches possessive and atomic groups wrongly if their content can match in several ways."""
    possessive = re.compile(r"\)[*+?]\+|\)\{[0-9,]*\}\+|\(\?>")
    places = [
        f"{path}:{number}"
        for path in modules()
        for number, line in enumerate(source(path).splitlines(), start=1)
        if possessive.search(line) and not line.lstrip().startswith("#")
    ]
    assert places == []


def test_numbers_of_examples_are_set_in_one_place() -> None:
    """The number of examples of a property is set only through `tests.properties`, which limits it."""
    setting = re.compile(r"\bmax_examples\b")
    paths = [str(path) for path in modules() if path.parts[0] == "tests" and setting.search(source(path))]
    assert paths == ["tests/properties.py"]
