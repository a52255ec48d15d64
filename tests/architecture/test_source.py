"""Rules of the house that imports cannot show."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOMS = ("core", "models", "integrations", "services", "schema", "resolvers", "routes", "jobs", "sandbox", "local")
LONGEST_MODULE = 400
LONGEST_FUNCTION = 60
OPENERS = re.compile(r"\b(?!self\.)\w+\.(?:commit|begin_nested)\(|(?:engine|connection)\.begin\(")
FORBIDDEN_NAMES = {"utils", "helpers", "manager", "common", "misc"}


def modules() -> Iterator[Path]:
    """Every module of the product."""
    for room in ROOMS:
        yield from (ROOT / room).rglob("*.py")
    yield from (ROOT / name for name in ("app.py", "cli.py", "runtime.py", "settings.py"))


def functions() -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Every function with where it stands."""
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{path.relative_to(ROOT)}:{node.name}", node


def test_modules_and_functions_stay_short() -> None:
    """No module over 400 lines, no function over 60."""
    long_modules = [str(path) for path in modules() if len(path.read_text().splitlines()) > LONGEST_MODULE]
    long_functions = [
        place for place, node in functions() if (node.end_lineno or 0) - node.lineno + 1 > LONGEST_FUNCTION
    ]
    assert (long_modules, long_functions) == ([], [])


def test_only_the_unit_of_work_commits() -> None:
    """Nobody else commits or opens a transaction."""
    openers = {
        f"{path.relative_to(ROOT)}: {found}" for path in modules() for found in OPENERS.findall(path.read_text())
    }
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
        f"{path.name}:{node.name}"
        for path in (ROOT / "tests").rglob("test_*.py")
        if "node_modules" not in path.parts
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and not ast.get_docstring(node)
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
    """Before 3.11.5 `re` matches `(...)*+` and `(?>...)` wrongly if their content can match in several ways."""
    possessive = re.compile(r"\)[*+?]\+|\)\{[0-9,]*\}\+|\(\?>")
    found = [
        f"{path}:{number}"
        for path in modules()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if possessive.search(line) and not line.lstrip().startswith("#")
    ]
    assert found == []
