"""No test asserts a duration, which depends on how busy the machine is."""

import ast
import re
from collections.abc import Iterator

import pytest

from tests.architecture.tree import functions, modules, source

CLOCKS = {name + unit for name in ("monotonic", "perf_counter", "process_time", "time") for unit in ("", "_ns")}
CLOCKS |= {"clock_gettime", "clock_gettime_ns", "now", "utcnow", "since_boot"}  # `now` of datetime and core.clock
# Exceptions, which a busy machine does not make fail, with the reason. Remove an entry that no longer asserts a time.
_ORDER = "the order of readings of one clock, however long it takes between them"
_LATER = "at most an interval after a later reading"
ALLOWED = {
    "tests/benchmarks/test_measuring.py:test_cpu_time_of_a_process": _ORDER,
    "tests/deliveries/test_batch_size.py:test_a_request_ends_within_its_lease": _ORDER,
    "tests/graphql/test_monitoring.py:test_a_renewal_that_began_in_time_succeeds": "a minute less than the lifetime",
    "tests/graphql/test_monitoring.py:test_an_outage_closes_no_connection": _ORDER,
    "tests/graphql/test_monitoring.py:test_pings_and_rechecks_of_many_sockets_are_spread": _LATER,
    "tests/graphql/test_monitoring.py:test_rechecks_are_spread_after_a_redis_gap": _LATER,
    "tests/rendering/test_dates.py:test_now_is_today": _ORDER,
    "tests/senders/test_confirming.py:test_a_token_expires": "three days, with a tolerance of hours",
    "tests/webhooks/test_events.py:test_a_clock_may_be_a_few_minutes_ahead": _ORDER,
    "tests/webhooks/test_events.py:test_an_impossible_time_is_replaced_by_the_time_of_receipt": _ORDER,
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
