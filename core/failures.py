"""Errors as text for the log: what they are and where they came from, without the values that their messages hold.

A message may hold anything: a row (PostgreSQL's DETAIL), a parameter, a client's document, an address, a token. Of
most errors only the type is told. What a message says in words of our own stands in the source line that raised it.
"""

import linecache
from collections.abc import Iterator
from pathlib import Path
from traceback import FrameSummary, walk_tb
from types import TracebackType

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from core.errors import OperatorError

ROOT = f"{Path(__file__).parents[1]}/"
MAX_FRAMES = 20
MAX_ERRORS = 6
MAX_WORDS = 200
MAX_TEXT = 8_000
# Their messages name code, types and servers, no values.
HARMLESS = (
    ArithmeticError,
    AttributeError,
    ImportError,
    IndexError,
    MemoryError,
    NameError,
    NotImplementedError,
    RecursionError,
    RedisConnectionError,
    RedisTimeoutError,
    TypeError,
)
CAUSED = "\nThe direct cause of the following error:\n\n"
DURING = "\nIn handling which came the following error:\n\n"


def describe_error(error: BaseException) -> str:
    """An error and what caused it, in a line: types, SQLSTATEs, names of constraints, and the system's own words."""
    return " < ".join(headline(each) for each in [error, *causes(error)])[: 2 * MAX_WORDS]


def headline(error: BaseException) -> str:
    """One error without its causes."""
    words = safe_words(error)
    name = type(error).__qualname__
    return f"{name}: {words}" if words else name


def safe_words(error: BaseException) -> str:
    """What may be told of an error beside its type."""
    state = getattr(error, "sqlstate", None)
    if isinstance(state, str):
        names = (getattr(error, name, None) for name in ("table_name", "column_name", "constraint_name"))
        return " ".join([state, *(name for name in names if isinstance(name, str))])
    if isinstance(error, OSError):
        return f"[Errno {error.errno}] {error.strerror}"[:MAX_WORDS] if error.errno is not None else ""
    if isinstance(error, OperatorError):
        return str(error)[: 5 * MAX_WORDS]
    return " ".join(str(error).split())[:MAX_WORDS] if isinstance(error, HARMLESS) else ""


def causes(error: BaseException) -> list[BaseException]:
    """What an error was raised from, or in the handling of which; the nearest first."""
    found: list[BaseException] = []
    current = cause(error)
    while current is not None and len(found) < MAX_ERRORS and current not in found:
        found.append(current)
        current = cause(current)
    return found


def cause(error: BaseException) -> BaseException | None:
    """What an error was raised from, or in the handling of which, unless it hides that."""
    if error.__cause__ is not None:
        return error.__cause__
    return None if error.__suppress_context__ else error.__context__


def traceback_text(error: BaseException) -> str:
    """The traceback of an error and of its causes, as Python prints it but with neither locals nor messages.

    At most 20 frames of each error, the innermost, and 8,000 characters; of a group the first errors are shown.
    """
    chain = [error, *causes(error)]
    parts = []
    for later, each in zip([None, *chain], chain, strict=False):
        if later is not None:
            parts.append(CAUSED if later.__cause__ is each else DURING)
        parts.append("".join(one(each)))
    text = "".join(reversed(parts)).rstrip()
    half = MAX_TEXT // 2
    return text if len(text) <= MAX_TEXT else f"{text[:half]}\n  [...]\n{text[-half:]}"


def one(error: BaseException) -> Iterator[str]:
    """The lines of one error without its causes."""
    if error.__traceback__ is not None:
        yield "Traceback (most recent call last):\n"
        yield from frames(error.__traceback__)
    yield f"{headline(error)}\n"
    if isinstance(error, BaseExceptionGroup):
        for number, inner in enumerate(error.exceptions[:MAX_ERRORS], 1):
            yield f"  {number} of {len(error.exceptions)}:\n"
            yield from (f"    {line}\n" for line in "".join(one(inner)).splitlines())


def frames(traceback: TracebackType) -> Iterator[str]:
    """The innermost frames: file, line, function and the line's source."""
    found = list(walk_tb(traceback))
    if len(found) > MAX_FRAMES:
        yield f"  [{len(found) - MAX_FRAMES} frames before]\n"
    for frame, number in found[-MAX_FRAMES:]:
        code = frame.f_code
        source = linecache.getline(code.co_filename, number, frame.f_globals).strip()
        summary = FrameSummary(short(code.co_filename), number, code.co_name, line=source[:MAX_WORDS])
        yield f'  File "{summary.filename}", line {summary.lineno}, in {summary.name}\n'
        if source:
            yield f"    {summary.line}\n"


def short(path: str) -> str:
    """A file by its place in the product, or in its package."""
    return path.rpartition("/site-packages/")[2].removeprefix(ROOT)
