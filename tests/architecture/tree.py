"""The Python modules of the checkout, in every top-level folder."""

import ast
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Folders that are generated or downloaded; so are those that start with a dot.
GENERATED = {"node_modules", "build", "dist", "__pycache__"}
PACKAGES = "packages"
NOT_PRODUCT = {
    "tests": "they use internals of every room",
    "benchmarks": "they measure the product from outside",
    "migrations": "Alembic runs them, each for one revision of the tables",
}


@cache
def modules() -> tuple[Path, ...]:
    """Every Python file of the checkout, sorted, relative to it."""
    return tuple(sorted(path.relative_to(ROOT) for path in _files()))


def _files() -> Iterator[Path]:
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in GENERATED and not name.startswith(".")]
        yield from (Path(folder, name) for name in files if name.endswith(".py"))


def rooms() -> set[str]:
    """Every top-level folder with Python modules, except `packages`."""
    return {path.parts[0] for path in modules() if len(path.parts) > 1} - {PACKAGES}


def packages() -> set[str]:
    """Every folder in `packages`."""
    return {path.parts[1] for path in modules() if path.parts[0] == PACKAGES}


def product() -> tuple[Path, ...]:
    """Every module that is installed in production, except migrations."""
    return tuple(path for path in modules() if path.parts[0] not in NOT_PRODUCT)


@cache
def source(path: Path) -> str:
    """The text of a module."""
    return (ROOT / path).read_text(encoding="utf-8")


def functions() -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Every function, with its module and name."""
    for path in modules():
        for node in ast.walk(ast.parse(source(path))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{path}:{node.name}", node
