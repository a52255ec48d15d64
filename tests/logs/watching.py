"""Looks through every line that any test's code logs, before the redaction, for what must not be in it."""

import logging
import sys

import structlog

from core.redaction import PATTERNS, forms_of
from core.telemetry import SHARED, Formatter, LibraryFilter


class Watch(logging.Handler):
    """A handler that keeps the lines with a known secret, an address or a credential in them."""

    def __init__(self) -> None:
        super().__init__()
        self.secrets: set[str] = set()
        self.found: list[str] = []
        renderer = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
        formatter = Formatter(
            foreign_pre_chain=SHARED,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
        formatter.redaction = lambda text: text  # type: ignore[assignment]
        self.setFormatter(formatter)
        self.addFilter(LibraryFilter())

    def know(self, secrets: set[str]) -> None:
        """Look for these too."""
        self.secrets |= {form for secret in secrets for form in forms_of(secret) if len(form) >= 12}

    def emit(self, record: logging.LogRecord) -> None:
        """Look through a line, and write it."""
        text = self.format(record)
        sys.stderr.write(f"{text}\n")
        if any(secret in text for secret in self.secrets) or any(pattern.search(text) for pattern, _ in PATTERNS):
            self.found.append(text)


WATCH = Watch()
