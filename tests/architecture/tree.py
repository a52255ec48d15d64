"""The checkout's Python: every top-level folder with its modules, whatever they are called."""

import ast
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
# What is made, or fetched, and is no part of the checkout; so is what begins with a dot.
MADE = {"node_modules", "build", "dist", "__pycache__"}
PACKAGES = "packages"
NOT_PRODUCT = {
    "tests": "they look behind every door",
    "benchmarks": "they measure the product from outside",
    "migrations": "they are run by Alembic, each for one revision of the tables",
}


@cache
def modules() -> tuple[Path, ...]:
    """Every Python file of the checkout, sorted, relative to it."""
    return tuple(sorted(path.relative_to(ROOT) for path in _files()))


def _files() -> Iterator[Path]:
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in MADE and not name.startswith(".")]
        yield from (Path(folder, name) for name in files if name.endswith(".py"))


def rooms() -> set[str]:
    """Every top-level folder that holds Python, but `packages`."""
    return {path.parts[0] for path in modules() if len(path.parts) > 1} - {PACKAGES}


def packages() -> set[str]:
    """Every folder of `packages`."""
    return {path.parts[1] for path in modules() if path.parts[0] == PACKAGES}


def product() -> tuple[Path, ...]:
    """Every module that is installed in production but those of migrations."""
    return tuple(path for path in modules() if path.parts[0] not in NOT_PRODUCT)


@cache
def source(path: Path) -> str:
    """The text of a module."""
    return (ROOT / path).read_text(encoding="utf-8")


def functions() -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Every function with where it stands."""
    for path in modules():
        for node in ast.walk(ast.parse(source(path))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{path}:{node.name}", node
