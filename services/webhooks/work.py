"""The jobs of the provider's events. They are idempotent; a sweep enqueues them again from the rows."""

from dataclasses import dataclass
from typing import ClassVar

from core.queue import Job


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributeEvents(Job):
    """Attribute the events of the inbox that have no organization yet."""

    debounce_seconds: ClassVar[float] = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyEvents(Job):
    """Apply an organization's due events of the inbox."""
