"""The door of a noun's services."""

import ast
from pathlib import Path

SERVICES = Path(__file__).parents[2] / "services"


def test_packages_re_export_nothing() -> None:
    """The `__init__` of each package is its docstring and no more: callers import its modules."""
    found = {
        str(path.relative_to(SERVICES)): len(ast.parse(path.read_text()).body)
        for path in SERVICES.glob("*/__init__.py")
    }
    assert found == dict.fromkeys(found, 1)
