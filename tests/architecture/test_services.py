"""Packages of services."""

import ast
from pathlib import Path

SERVICES = Path(__file__).parents[2] / "services"


def test_packages_re_export_nothing() -> None:
    """The `__init__` of a package contains only its docstring: callers import its modules."""
    trees = {str(path.relative_to(SERVICES)): ast.parse(path.read_text()) for path in SERVICES.rglob("__init__.py")}
    assert len(trees) > 5
    more = [name for name, tree in trees.items() if len(tree.body) > int(ast.get_docstring(tree) is not None)]
    assert more == []
