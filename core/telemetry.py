"""Structured logs with a request id on every line. Never a token, a body or another tenant's data."""

import logging
import random
import secrets
import sys
from contextvars import ContextVar
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor, WrappedLogger

request_id: ContextVar[str] = ContextVar("request_id", default="")


# Names that only have to differ: asking the system for each would take longer than all the rest of a small request.
numbers = random.Random(secrets.token_bytes(32))  # noqa: S311 - no secret


def new_request_id() -> str:
    """Give the current task a fresh request id and return it."""
    value = f"{numbers.getrandbits(128):032x}"
    request_id.set(value)
    return value


def add_request_id(_: "WrappedLogger", __: str, event: "EventDict") -> "EventDict":
    """Put the current request id on a log line."""
    if value := request_id.get():
        event["request_id"] = value
    return event


def configure(level: str, *, json: bool) -> None:
    """Set logging up for this process: JSON lines in production, readable ones in a terminal."""
    renderer: Processor = structlog.processors.JSONRenderer()
    if not json:
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        add_request_id,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.processors.format_exc_info,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for noisy in ("alembic", "arq", "httpx", "httpx2", "openai", "uvicorn.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def logger(name: str) -> structlog.stdlib.BoundLogger:
    """The logger of a module: an event in plain words, then keys."""
    return structlog.stdlib.get_logger(name)
