"""Only one package writes whether an address may be mailed."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Resolvers, routes and jobs have no SQL, as import-linter checks.
SERVICES = ROOT / "services"
# The demo contacts are created with statuses of the past.
WRITERS = {SERVICES / "suppressions", SERVICES / "seeding"}
READS = {"exists", "select", "select_from"}
STATUS_COLUMNS = {"subscribed_at", "unsubscribed_at"}


def others() -> Iterator[tuple[str, ast.AST]]:
    """Every node of the modules of services that must not write."""
    for path in SERVICES.rglob("*.py"):
        if not WRITERS & set(path.parents):
            for node in ast.walk(ast.parse(path.read_text())):
                yield str(path.relative_to(ROOT)), node


def test_only_one_package_writes_suppressions() -> None:
    """Elsewhere the table is an argument only of calls that read."""
    paths = [
        path
        for path, node in others()
        if isinstance(node, ast.Call)
        and any(getattr(argument, "id", "") == "Suppression" for argument in node.args)
        and getattr(node.func, "id", getattr(node.func, "attr", "")) not in READS
    ]
    assert paths == []


def test_only_one_package_writes_the_status_of_contacts() -> None:
    """The columns with the times of a contact's status are written nowhere else."""
    paths = [
        path
        for path, node in others()
        if (isinstance(node, ast.Constant) and node.value in STATUS_COLUMNS)
        or (isinstance(node, ast.keyword) and node.arg in STATUS_COLUMNS)
    ]
    assert paths == []
