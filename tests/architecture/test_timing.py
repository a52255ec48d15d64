"""No test asserts a duration, which depends on how busy the machine is."""

import ast
import re
from collections.abc import Iterator

import pytest

from tests.architecture.tree import functions, modules, source

CLOCKS = {name + unit for name in ("monotonic", "perf_counter", "process_time", "time") for unit in ("", "_ns")}
# Exceptions with their reasons. Remove an entry that no longer asserts a time.
ALLOWED = {
    "tests/benchmarks/test_measuring.py:test_cpu_time_of_a_process": "the order of readings of one clock",
}


def test_no_test_or_benchmark_asserts_a_time() -> None:
    """No assertion compares a clock reading, or a variable computed from one, by size."""
    places = {
        place
        for place, node in functions()
        if place.startswith(("tests/", "benchmarks/")) and any(timed_assertions(node))
    }
    assert places == set(ALLOWED)


def test_no_test_replaces_the_global_clock() -> None:
    """The event loop uses `time.monotonic`: a test replaces the name `time` or `monotonic` in one of our modules."""
    global_clock = re.compile(r"""setattr\(\s*(time,\s*["']|["']time\.)monotonic""")
    paths = [str(path) for path in modules() if path.parts[0] == "tests" and global_clock.search(source(path))]
    assert paths == []


@pytest.mark.parametrize(
    ("lines", "is_timed"),
    [
        ("assert time.monotonic() - started < 3", True),
        ("started = loop.time()\nelapsed = loop.time() - started\nassert elapsed < 3", True),
        ("times.append(monotonic())\nassert max(gaps(times)) < 1", True),
        ("until = time.monotonic() + 60\nwhile time.monotonic() < until:\n    pass", False),
        ("expires = int(time.time()) + 60\nassert claims == {'exp': expires}", False),
        ("assert simulated.now < 3", False),
    ],
)
def test_timed_assertions(lines: str, is_timed: bool) -> None:
    """A timed assertion compares a clock reading, or a value computed from one, by size. A timeout is not one."""
    assert any(timed_assertions(ast.parse(lines))) is is_timed


def timed_assertions(node: ast.AST) -> Iterator[ast.Assert]:
    """The assertions in a function that compare a clock reading, or a value computed from one, by size."""
    readings = set(_variables_with_readings(node))
    for each in ast.walk(node):
        if isinstance(each, ast.Assert):
            for compared in ast.walk(each.test):
                if isinstance(compared, ast.Compare) and _by_size(compared) and _is_reading(compared, readings):
                    yield each


def _by_size(compared: ast.Compare) -> bool:
    return any(isinstance(operator, ast.Lt | ast.LtE | ast.Gt | ast.GtE) for operator in compared.ops)


def _variables_with_readings(node: ast.AST) -> Iterator[str]:
    """The names of variables to which a reading is assigned or appended, directly or through other variables."""
    names_with_readings: set[str] = set()
    for _ in range(3):  # a reading, a difference of readings, a list of differences
        for each in ast.walk(node):
            match each:
                case ast.Assign(targets=targets, value=value) if _is_reading(value, names_with_readings):
                    names = (name for target in targets for name in ast.walk(target))
                    names_with_readings |= {name.id for name in names if isinstance(name, ast.Name)}
                case ast.Call(func=ast.Attribute(attr="append", value=ast.Name(id=name)), args=[value]):
                    names_with_readings |= {name} if _is_reading(value, names_with_readings) else set()
    yield from names_with_readings


def _is_reading(node: ast.AST, names: set[str]) -> bool:
    for each in ast.walk(node):
        match each:
            case ast.Call(func=ast.Name(id=name)) | ast.Call(func=ast.Attribute(attr=name)) if name in CLOCKS:
                return True
            case ast.Name(id=name) if name in names:
                return True
    return False
