"""Errors as text for the log: their types and tracebacks, without the values in their messages.

A message may contain anything: a row (PostgreSQL's DETAIL), a parameter, a client's document, an address, a token. So
most errors are logged by type only. For errors that our code raises, the traceback's source line shows the message.

The errors of the application are defined in `core/errors.py`; this module describes errors of any kind.
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
MAX_MESSAGE = 200
MAX_OPERATOR_MESSAGE = 1_000
MAX_SUMMARY = 400
MAX_SOURCE_LINE = 200
MAX_TEXT = 8_000
# Errors whose messages contain names of code, types and servers, but no values.
SAFE_TYPES = (
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
CAUSE_LINE = "\nThe error above was the direct cause of the following error:\n\n"
CONTEXT_LINE = "\nDuring handling of the error above, the following error occurred:\n\n"


def describe_error(error: BaseException) -> str:
    """An error and its causes in one line: types, SQLSTATEs, constraints, messages of the operating system."""
    return " < ".join(headline(each) for each in [error, *_causes(error)])[:MAX_SUMMARY]


def headline(error: BaseException) -> str:
    """The type of one error, and its message as far as it is safe."""
    message = _safe_message(error)
    name = type(error).__qualname__
    return f"{name}: {message}" if message else name


def _safe_message(error: BaseException) -> str:
    """The part of an error's message that may be logged."""
    state = getattr(error, "sqlstate", None)
    if isinstance(state, str):
        names = (getattr(error, name, None) for name in ("table_name", "column_name", "constraint_name"))
        return " ".join([state, *(name for name in names if isinstance(name, str))])
    if isinstance(error, OSError):
        return f"[Errno {error.errno}] {error.strerror}"[:MAX_MESSAGE] if error.errno is not None else ""
    if isinstance(error, OperatorError):
        return str(error)[:MAX_OPERATOR_MESSAGE]
    return " ".join(str(error).split())[:MAX_MESSAGE] if isinstance(error, SAFE_TYPES) else ""


def _causes(error: BaseException) -> list[BaseException]:
    """The chain of an error's causes (`_cause`), the nearest first."""
    causes: list[BaseException] = []
    current = _cause(error)
    while current is not None and len(causes) < MAX_ERRORS and current not in causes:
        causes.append(current)
        current = _cause(current)
    return causes


def _cause(error: BaseException) -> BaseException | None:
    """The cause of an error, or its context unless that is suppressed."""
    if error.__cause__ is not None:
        return error.__cause__
    return None if error.__suppress_context__ else error.__context__


def traceback_text(error: BaseException) -> str:
    """The tracebacks of an error and of its causes, as Python prints them, but with the messages of `headline` only.

    At most the 20 innermost frames of each error, the first 6 errors of a group, and 8,000 characters.
    """
    chain = [error, *_causes(error)]
    parts = []
    for following, each in zip([None, *chain], chain, strict=False):
        if following is not None:
            parts.append(CAUSE_LINE if following.__cause__ is each else CONTEXT_LINE)
        parts.append("".join(_error_lines(each)))
    text = "".join(reversed(parts)).rstrip()
    half = MAX_TEXT // 2
    return text if len(text) <= MAX_TEXT else f"{text[:half]}\n  [...]\n{text[-half:]}"


def _error_lines(error: BaseException) -> Iterator[str]:
    """The traceback of one error, without its causes."""
    if error.__traceback__ is not None:
        yield "Traceback (most recent call last):\n"
        yield from _frame_lines(error.__traceback__)
    yield f"{headline(error)}\n"
    if isinstance(error, BaseExceptionGroup):
        for number, inner in enumerate(error.exceptions[:MAX_ERRORS], 1):
            yield f"  {number} of {len(error.exceptions)}:\n"
            yield from (f"    {line}\n" for line in "".join(_error_lines(inner)).splitlines())


def _frame_lines(traceback: TracebackType) -> Iterator[str]:
    """The innermost frames: file, line number, function and source line."""
    frames = list(walk_tb(traceback))
    if len(frames) > MAX_FRAMES:
        yield f"  [{len(frames) - MAX_FRAMES} earlier frames]\n"
    for frame, number in frames[-MAX_FRAMES:]:
        code = frame.f_code
        source = linecache.getline(code.co_filename, number, frame.f_globals).strip()
        summary = FrameSummary(_short_path(code.co_filename), number, code.co_name, line=source[:MAX_SOURCE_LINE])
        yield f'  File "{summary.filename}", line {summary.lineno}, in {summary.name}\n'
        if source:
            yield f"    {summary.line}\n"


def _short_path(path: str) -> str:
    """The path of a file relative to the project, or to site-packages."""
    return path.rpartition("/site-packages/")[2].removeprefix(ROOT)
