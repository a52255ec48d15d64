"""Structured logs with a request id on every line.

Never a password, a header, a body, a token, a contact's address, nor a frame's locals, from us or from libraries, at
any level, in development as in production: errors are told by `core.failures`, libraries are heard from WARNING on,
and the finished line goes through `core.redaction`.
"""

import logging
import random
import re
import secrets as randomness
import sys
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING

import structlog

from core.failures import describe_error, headline, traceback_text
from core.redaction import Redaction

if TYPE_CHECKING:
    from types import TracebackType

    from structlog.typing import EventDict, Processor, WrappedLogger

__all__ = ["begin_request", "configure", "describe_error", "logger", "new_request_id", "request_id", "request_path"]

request_id: ContextVar[str] = ContextVar("request_id", default="")
request_path: ContextVar[str] = ContextVar("request_path", default="")
# The first part of our loggers' names.
ROOMS = frozenset(
    {
        *("app", "cancellation", "cli", "core", "development", "execution", "integrations", "jobs", "local"),
        *("migrations", "models", "nudge", "resolvers", "routes", "sandbox", "schema", "services", "transport"),
    }
)
# Loggers that put what they know of futures and callbacks into their messages, arguments and results included.
REPRESENTING = frozenset({"asyncio", "uvloop"})
# A part of a path that is a word of ours, and no token.
WORD = re.compile(r"\.?[a-z][a-z.-]{0,19}|")
MAX_VALUE = 2_000


# Names that only have to differ: asking the system for each would take longer than all the rest of a small request.
numbers = random.Random(randomness.token_bytes(32))  # noqa: S311 - no secret


def new_request_id() -> str:
    """Give the current task a fresh request id and return it."""
    value = f"{numbers.getrandbits(128):032x}"
    request_id.set(value)
    return value


def begin_request(path: str) -> None:
    """Put a fresh request id, and the path without what it may hold of a token, on each log line of the task."""
    new_request_id()
    request_path.set(path)


def add_request(_: "WrappedLogger", __: str, event: "EventDict") -> "EventDict":
    """Put the current request's id and path on a log line."""
    if value := request_id.get():
        event.setdefault("request_id", value)
    if path := request_path.get():
        event.setdefault("path", "/".join(each if WORD.fullmatch(each) else "…" for each in path.split("/")[:8]))
    return event


def add_traceback(_: "WrappedLogger", __: str, event: "EventDict") -> "EventDict":
    """Turn an error into its traceback as text, with neither locals nor messages."""
    found = event.pop("exc_info", None)
    if isinstance(found, tuple):
        found = found[1]
    elif found is not None and not isinstance(found, BaseException):
        found = sys.exc_info()[1] if found else None
    if isinstance(found, BaseException):
        event["exception"] = traceback_text(found)
    event.pop("stack_info", None)
    return event


def tidy(_: "WrappedLogger", __: str, event: "EventDict") -> "EventDict":
    """Bound a log line's texts; keep of asyncio's messages what holds no value of a future or an argument."""
    record = event.get("_record")
    if isinstance(record, logging.LogRecord) and record.name.partition(".")[0] in REPRESENTING:
        event["event"] = re.split(r"[(<\n]", str(event["event"]), maxsplit=1)[0]
    for key, value in event.items():
        if isinstance(value, str) and key != "exception":
            event[key] = value.strip()[:MAX_VALUE]
    return event


SHARED: "list[Processor]" = [
    structlog.contextvars.merge_contextvars,
    add_request,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    add_traceback,
    tidy,
]
# One list, however often logging is set up: a logger keeps the one that it has met first.
PROCESSORS: "list[Processor]" = [
    structlog.stdlib.filter_by_level,
    *SHARED,
    structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
]


class LibraryFilter(logging.Filter):
    """Lets libraries speak from WARNING on: below that they log statements, frames, headers and bodies."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is to be written."""
        return record.levelno >= logging.WARNING or record.name.partition(".")[0] in ROOMS


class Formatter(structlog.stdlib.ProcessorFormatter):
    """Structlog's, with secrets taken out of the finished line."""

    redaction = Redaction()

    def format(self, record: logging.LogRecord) -> str:
        """The line as it is written; of what a library fills into its message, figures and the types of errors."""
        if not isinstance(record.msg, dict):
            record = logging.makeLogRecord(record.__dict__)
            record.args = figures_of(record.args)
        return self.redaction(super().format(record))


def figures_of(arguments: object) -> tuple[object, ...] | dict[str, object] | None:
    """The arguments of a library's message without texts: arq's hold an error's message and a job's values."""
    if isinstance(arguments, Mapping):
        return {str(name): figure(value) for name, value in arguments.items()}
    return tuple(map(figure, arguments)) if isinstance(arguments, tuple) else None


def figure(value: object) -> object:
    """A figure as it is, of an error its type, and nothing of anything else."""
    if isinstance(value, int | float):
        return value
    return headline(value) if isinstance(value, BaseException) else "…"


def configure(level: str, *, json: bool, secrets: Iterable[str] = ()) -> None:
    """Set logging up for this process: JSON lines in production, readable ones in a terminal.

    Errors that nobody catches are logged in the same way. Of the secrets none is ever written, see `Redaction`.
    """
    renderer: Processor = structlog.processors.JSONRenderer()
    if not json:
        renderer = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    structlog.configure(
        processors=PROCESSORS,
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    formatter = Formatter(
        foreign_pre_chain=SHARED,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
    )
    formatter.redaction = Redaction(secrets)
    handler.setFormatter(formatter)
    handler.addFilter(LibraryFilter())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(logging.WARNING, logging.getLevelNamesMapping()[level]))
    for room in ROOMS:
        logging.getLogger(room).setLevel(level)
    sys.excepthook = log_uncaught


def log_uncaught(kind: type[BaseException], error: BaseException, trace: "TracebackType | None") -> None:
    """Log an error that ends the process."""
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    logger("nudge").critical("the process ends by an error", exc_info=error)


def logger(name: str) -> structlog.stdlib.BoundLogger:
    """The logger of a module: an event in plain words, then keys."""
    return structlog.stdlib.get_logger(name)
