"""Whether an address may be mailed is written in one place."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Resolvers, routes and jobs hold no SQL, as import-linter checks.
SERVICES = ROOT / "services"
# The demonstration's contacts are made with a past of their own.
WRITERS = {SERVICES / "suppressions", SERVICES / "seeding"}
READS = {"exists", "select", "select_from"}
STATUS_COLUMNS = {"subscribed_at", "unsubscribed_at"}


def others() -> Iterator[tuple[str, ast.AST]]:
    """Every node of the modules of services that must not write."""
    for path in SERVICES.rglob("*.py"):
        if not WRITERS & set(path.parents):
            for node in ast.walk(ast.parse(path.read_text())):
                yield str(path.relative_to(ROOT)), node


def test_nobody_else_writes_suppressions() -> None:
    """The table goes into no call but those that read it."""
    found = [
        path
        for path, node in others()
        if isinstance(node, ast.Call)
        and any(getattr(argument, "id", "") == "Suppression" for argument in node.args)
        and getattr(node.func, "id", getattr(node.func, "attr", "")) not in READS
    ]
    assert found == []


def test_nobody_else_writes_whether_a_contact_may_be_mailed() -> None:
    """The times that go with a contact's status are named as columns to write nowhere else."""
    found = [
        path
        for path, node in others()
        if (isinstance(node, ast.Constant) and node.value in STATUS_COLUMNS)
        or (isinstance(node, ast.keyword) and node.arg in STATUS_COLUMNS)
    ]
    assert found == []
