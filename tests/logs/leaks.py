"""Searches every line that a test logs, before redaction, for secrets, credentials and addresses."""

import logging
import sys

import structlog

from core.redaction import PATTERNS, forms_of
from core.telemetry import SHARED, Formatter, LibraryFilter


class LeakHandler(logging.Handler):
    """A handler that collects the lines with a known secret, a credential or an address."""

    def __init__(self) -> None:
        super().__init__()
        self.secrets: set[str] = set()
        self.leaks: list[str] = []
        renderer = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
        formatter = Formatter(
            foreign_pre_chain=SHARED,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
        formatter.redaction = lambda text: text  # type: ignore[assignment]
        self.setFormatter(formatter)
        self.addFilter(LibraryFilter())

    def search_for(self, secrets: set[str]) -> None:
        """Add secrets to search for."""
        self.secrets |= {form for secret in secrets for form in forms_of(secret) if len(form) >= 12}

    def emit(self, record: logging.LogRecord) -> None:
        """Search a line, and write it to stderr."""
        text = self.format(record)
        sys.stderr.write(f"{text}\n")
        if any(secret in text for secret in self.secrets) or any(pattern.search(text) for pattern, _ in PATTERNS):
            self.leaks.append(text)


LEAKS = LeakHandler()
