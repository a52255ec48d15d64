import ast
import sys
from pathlib import Path

import sandbox

ALLOWED = {"sandbox", "starlette", "orjson", "aiohttp"} | sys.stdlib_module_names


def test_the_sandbox_does_not_import_the_product() -> None:
    """Its modules import only the standard library, starlette, orjson, aiohttp and each other."""
    modules = sorted(Path(sandbox.__file__).parent.rglob("*.py"))
    assert len(modules) > 20
    imported = {
        (path.name, name.partition(".")[0])
        for path in modules
        for node in ast.walk(ast.parse(path.read_text()))
        for name in _names(node)
    }
    assert {entry for entry in imported if entry[1] not in ALLOWED} == set()


def _names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) else []
